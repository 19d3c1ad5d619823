// The runtime inside a worker process: what a program includes to be more than supervised.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <bulkhead/queue.hpp>
#include <bulkhead/rpc.hpp>
#include <bulkhead/sealed.hpp>
#include <bulkhead/topic.hpp>
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
// Threads: everything may be called from any thread, but run()'s function owns the object. There is no
//   thread behind it: what the supervisor says is taken inside calls of this library, by whichever
//   thread is in one.
// Ownership: made by run() and gone when run() returns. Channels and Clients that come from it must be
//   gone by then too; they are when they live inside `body`.
// Blocking: calls take deadlines. Each of them, and each call of a Channel that sleeps, beats the heart;
//   a sleep inside them is never taken for a hang. With several threads, the one that went to sleep or
//   woke last speaks for all.
// Errors: a supervisor that dies alone is not noticed: requests wait for its successor. When there
//   will be none, the process ends at once with status 1, inside whatever call it is.
// After a crash: the next incarnation has the same name and index and generation() + 1, and finds its
//   links with resume_point() and last_committed().
class Worker {
 public:
  // Connects to the supervisor, waits for the links of the config, calls `body`, and turns its result
  // into the exit status: 0 for success and for Errc::stopped, 78 for bad_config, 1 for any other
  // error (printed on stderr). An exception that leaves `body` is printed and aborts, with the stack
  // of the throw intact. Call it first in main, before any thread: it registers for membarrier, which
  // then costs microseconds instead of milliseconds.
  // SIGTERM, where it still has its default effect, becomes a stop; SIGPIPE is ignored. The signals of a
  // crash, likewise, are reported to the supervisor before they kill (`bulkhead incidents`).
  // Without a supervisor (no BULKHEAD_CONTROL_FD) it says so on stderr and returns 64.
  static int run(int argc, char** argv, const std::function<Result<void>(Worker&)>& body);

  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  const std::string& name() const noexcept;       // "echo.1"
  const std::string& worker() const noexcept;     // "echo"
  std::uint32_t index() const noexcept;           // 1
  std::uint32_t generation() const noexcept;      // 1 for the first process that bore this name
  const nlohmann::json& config() const noexcept;  // the worker's "config"
  const std::vector<std::string>& arguments() const noexcept;  // without the program's name

  // A link of the config by its name. `channel` needs exactly one pair; a link to a worker with N
  // instances is N channels, in the order of their instances. Each may be taken once.
  // Ownership: the caller's. Destroying a Channel of a link is no farewell: the link waits for the next
  //   incarnation, and only Channel::close() tells the peer that no more will come.
  // Errors: not_found, naming the links that there are; already_exists when it was taken before;
  //   invalid_argument when `channel` meets several pairs.
  Result<Channel> channel(std::string_view link);
  Result<std::vector<Channel>> channels(std::string_view link);
  // This worker's end of a topic of the config: the publisher's, which reaches all subscribers, or that
  // of one subscriber. Ownership, errors: as channel(); each refuses links of the other's type.
  Result<Topic> topic(std::string_view link);
  // This worker's end of a link of "type": "queue", with all instances at the other end in one object.
  // May be taken once. Ownership: the caller's; it must not outlive the Worker.
  // Errors: not_found, already_exists and invalid_argument as above; protocol_violation when a
  //   predecessor wrote over the queue's journal.
  Result<Queue> queue(std::string_view link);

  // Calls to a service by name; connects at the first call, and again after a death.
  // Ownership: a Client must not outlive the Worker.
  // Blocking: a call waits for an instance of the service up to its deadline, also while the
  //   supervisor is being replaced.
  // Errors: those of Client; not_found when no worker of the config provides the service.
  // After a crash of the server: the call in flight fails with peer_died at once; the next call
  //   finds another instance, or the next incarnation.
  Client client(std::string_view service);
  // Answers calls to a service that the config says this worker provides, until stopped: every
  // client, one request at a time, in turn.
  // Errors: stopped and timed_out, by the deadline; not_found when the config does not say
  //   "provides". A client that dies or misbehaves costs only its own session.
  Result<void> serve(std::string_view service, const Service&, Deadline);

  // Gives a buffer to the whole system: whoever is sent the ticket, in a message of whatever kind, opens the
  // same memory with it. The supervisor keeps it, so it outlives this process, its successors and the
  // brain, until withdraw(). An instance, with all its incarnations, may have 256 at a time; all of them
  // together get half of the descriptors that the system does not need.
  // Blocking: a request to the supervisor, also while that is being replaced.
  // Errors: stopped; timed_out, and published() tells then whether it was kept; out_of_budget.
  // After a crash before this returned: published() tells a successor.
  [[nodiscard]] Result<SealedTicket> publish(const SealedBuffer&, Deadline = Deadline::never());
  // The memory is mapped anew by each call: keep the buffer as long as it is of use.
  // Blocking: as publish(). Errors: stopped, timed_out; not_found for one that was withdrawn.
  [[nodiscard]] Result<SealedBuffer> open_sealed(SealedTicket, Deadline = Deadline::never());
  // Nobody can open it any more; those who have it keep it. Only for what this instance published.
  // Blocking: as publish(). Errors: stopped, timed_out; not_permitted for another instance's.
  [[nodiscard]] Result<void> withdraw(SealedTicket, Deadline = Deadline::never());
  // What this instance has published and not withdrawn, its predecessors included, oldest first.
  [[nodiscard]] Result<std::vector<SealedTicket>> published(Deadline = Deadline::never());

  void ready();                          // the supervisor may count on us; idempotent
  void status(std::string_view text);    // shown by `bulkhead status`; the latest counts
  void beat() noexcept;                  // in long computations, for the watchdog: one store
  bool stopping() const noexcept;        // looks for news of the supervisor; no system call without
  Deadline until_stop() const noexcept;  // never, but ended by a stop with Errc::stopped
  Deadline until_stop(std::chrono::nanoseconds at_most) const noexcept;
  Deadline until_stop(Deadline::clock::time_point at_latest) const noexcept;
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
