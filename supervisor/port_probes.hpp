// Readiness of type "port": asks 127.0.0.1:port until somebody accepts a connection. Used by the
// brain.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>

#include "supervisor/core_types.hpp"

namespace bulkhead::supervisor {

// Threads: the brain's loop. Probes are 5 ms apart at first, 100 ms later on; a probe ends with its
// answer or with cancel().
class PortProbes {
 public:
  PortProbes(boost::asio::io_context&, std::function<void(Slot, Generation)> answered);
  ~PortProbes();

  void begin(Slot, Generation, std::uint16_t port);
  void cancel(Slot);

 private:
  struct Probe;

  boost::asio::io_context& io_;
  std::function<void(Slot, Generation)> answered_;
  std::map<Slot, std::shared_ptr<Probe>> probes_;
};

}  // namespace bulkhead::supervisor
