// A library as a course for messages one way: from ping's end to echo's. Used by the libraries' sources. Besides
// enter_ping() and enter_echo() a mechanism has
//   bool put();   one message towards the other process; waits while there is no room
//   bool get();   in the other process: one message
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "bench/one_to_one.hpp"

namespace bulkhead::bench::others {

template <class Mechanism>
class OneWay {
 public:
  explicit OneWay(std::unique_ptr<Mechanism> mechanism) : mechanism_(std::move(mechanism)) {}
  std::size_t put(std::uint64_t) { return mechanism_->put() ? 1 : 0; }
  bool get() { return mechanism_->get(); }
  void enter_source() { mechanism_->enter_ping(); }
  void enter_drain() { mechanism_->enter_echo(); }

 private:
  std::unique_ptr<Mechanism> mechanism_;
};

template <class Mechanism>
StartedStream start_one_way(std::unique_ptr<Mechanism> mechanism, Processors processors) {
  using Course = OneWay<Mechanism>;
  return OneToOne<Course>::start(std::make_unique<Course>(std::move(mechanism)), processors.echo);
}

}  // namespace bulkhead::bench::others
