// The runtime inside a worker process: what a program includes to be more than supervised.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <bulkhead/rpc.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead {

// One worker process, as its supervisor knows it.
// Threads: everything may be called from any thread, but run()'s function owns the object.
// Blocking: calls take deadlines; any of them beats the heart.
// After a crash: the next incarnation finds its links with resume_point() and last_committed().
class Worker {
 public:
  // Connects to the supervisor, calls `body`, and turns its result into the exit status: 0 for
  // success and for Errc::stopped, 78 for bad_config, 1 for any other error (printed on stderr).
  // An exception that leaves `body` is printed and aborts. Call it first in main, before any thread.
  // Without a supervisor (no BULKHEAD_CONTROL_FD) it says so on stderr and returns 64.
  static int run(int argc, char** argv, const std::function<Result<void>(Worker&)>& body);

  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  const std::string& name() const noexcept;    // "echo.1"
  const std::string& worker() const noexcept;  // "echo"
  std::uint32_t index() const noexcept;
  std::uint32_t generation() const noexcept;
  const nlohmann::json& config() const noexcept;  // the worker's "config"
  const std::vector<std::string>& arguments() const noexcept;

  // A link of the config by its name. `channel` needs exactly one pair; a link to a worker with N
  // instances is N channels, in the order of their instances. Each may be taken once.
  Result<Channel> channel(std::string_view link);
  Result<std::vector<Channel>> channels(std::string_view link);

  // Calls to a service by name; connects at the first call, and again after a death.
  Client client(std::string_view service);
  // Answers calls to a service that the config says this worker provides, until stopped: every
  // client, one request at a time, in turn.
  Result<void> serve(std::string_view service, const Service&, Deadline);

  void ready();                           // the supervisor may count on us; idempotent
  void status(std::string_view text);     // shown by `bulkhead status`
  void beat() noexcept;                   // in long computations, for the watchdog: one store
  bool stopping() const noexcept;
  Deadline until_stop() const noexcept;   // never, but ended by a stop with Errc::stopped
  Deadline until_stop(std::chrono::nanoseconds at_most) const noexcept;
  // Waits without doing anything: stopped when asked to stop, success when the time is over.
  Result<void> pause(std::chrono::nanoseconds);

  // What to return when a loop ends on an error: success for Errc::stopped.
  Result<void> ended(const Error&) const;

 private:
  struct State;
  explicit Worker(std::unique_ptr<State>);
  std::unique_ptr<State> state_;
};

}  // namespace bulkhead
