// The supervisor's own compartments: the logger, the viewer that prints events for the person at the terminal, and
// the web process. Restarted when they die, hidden from `status`. Used by the brain.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/control_port.hpp"
#include "supervisor/processes.hpp"

namespace bulkhead::supervisor {

// One such program: its slot, how to start it, and its control socket where it has one.
// Threads: the brain's loop. After a crash of the brain: adopted by claim and stored socket.
class InternalWorker {
 public:
  struct Options {
    std::string name;  // "logger"
    Slot slot;
    std::vector<std::string> command;  // [0] is an absolute path
    std::function<std::vector<std::string>()>
        once_more;                                // words for those after the first; or none
    bool control = false;                         // gets BULKHEAD_CONTROL_FD
    bool terminal = false;                        // inherits our stdout
    std::function<void(ControlPort&)> connected;  // a fresh or adopted control socket
    std::function<void(ipc::Packet)> packet;
    std::uint64_t blocked_signals = 0;  // see base::SpawnPlan
  };

  InternalWorker(boost::asio::io_context&, Processes&, KeeperClient&, Options);

  // Starts it, or takes over the one that a predecessor of this brain started.
  void begin();
  void died();  // its exit entry was read: starts it again, with back-off when it dies young
  void retire(int signal);  // no restart any more
  ControlPort* port() noexcept { return port_.get(); }
  bool alive() const noexcept;
  Slot slot() const noexcept { return options_.slot; }
  const std::string& name() const noexcept { return options_.name; }

 private:
  void start();
  void complain(const Error&);
  void open_port(base::UniqueFd);

  boost::asio::io_context& io_;
  Processes& processes_;
  KeeperClient& keeper_;
  Options options_;
  boost::asio::steady_timer again_;
  std::unique_ptr<ControlPort> port_;
  std::chrono::milliseconds delay_{0};
  std::chrono::steady_clock::time_point started_{};
  bool retired_ = false;
  std::string complained_;
};

}  // namespace bulkhead::supervisor
