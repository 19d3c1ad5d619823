// Looks at a worker that hangs before anybody kills it: what its threads do for a moment, and their stacks, which
// bulkhead-symboliser takes. Used by the brain; decides nothing.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "supervisor/core_types.hpp"
#include "supervisor/hang_report.hpp"

namespace bulkhead::supervisor {

// Threads: the brain's loop. Nothing waits for a worker that cannot be looked at: an examination is over within
// 0.1 s, and with stacks within 2 s more. After a crash of the brain: none is under way, and the watchdog of its
// successor finds the worker again.
class HangDesk {
 public:
  using Done = std::function<void(const HangReport&)>;

  HangDesk(boost::asio::io_context&, std::string program_directory);
  ~HangDesk();

  // At most one for each slot: a second one replaces the first, whose `done` is never called.
  void examine(Slot, pid_t process, Done done);
  void cancel(Slot);
  bool is_examining(Slot slot) const noexcept { return open_.contains(slot); }

 private:
  class Examination;

  boost::asio::io_context& io_;
  const std::string program_;
  std::map<Slot, std::shared_ptr<Examination>> open_;
};

}  // namespace bulkhead::supervisor
