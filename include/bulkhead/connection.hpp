// Talking to a running system from a program that is not one of its workers: the command line does
// it, and so can any other program.
//
//   auto system = bulkhead::connect("demo");              // or "" for the only one that is running
//   auto status = system->request("status", {}, Deadline::in(1s));
//   auto math = system->client("math");
//   auto sum = math.call<Add>({1, 2}, Deadline::in(1s));
#pragma once

#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <bulkhead/rpc.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace bulkhead {

struct SystemIdentity {
  std::string name;
  std::string control_path;  // of its control socket
  int brain_pid = 0;         // of the brain that answered last
  int keeper_pid = 0;
};

// A connection to the supervisor of one system.
// Threads: one at a time. Ownership: clients made by it may outlive it.
// After a crash of the brain: every call connects again by itself and repeats its request, which
//   carries an operation id, so that nothing is done twice.
class Connection {
 public:
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  const SystemIdentity& system() const noexcept;

  // One request of the control protocol (docs/design/control-protocol.md); returns its result.
  // Errors: what the supervisor answers; timed_out; no_system when the system is gone, or another
  //   one of that name has taken its place.
  Result<nlohmann::json> request(std::string_view method, nlohmann::json params,
                                 Deadline = Deadline::never());

  // Calls to a service of the system, by name. Finds it at the first call, and again after a death.
  Client client(std::string_view service);

  // Gives each event from number `since` on to `take`, in order and once, until `take` returns
  // false (success), the deadline, or an error as for request(). Events that were overwritten
  // before they could be told show as one {"type":"events.gap","missed":N}.
  Result<void> follow_events(std::uint64_t since,
                             const std::function<bool(const nlohmann::json& event)>& take,
                             Deadline = Deadline::never());

 private:
  struct State;
  explicit Connection(std::shared_ptr<State>) noexcept;
  friend Result<Connection> connect(std::string_view, Deadline);
  std::shared_ptr<State> state_;
};

// Connects to the system of that name in the runtime directory, to the control socket at that path
// (anything with a slash), or, for "", to the only system that is running.
// Blocking: until the supervisor has answered, or the deadline.
// Errors: no_system; invalid_argument when several are running, with their names; version_mismatch;
//   not_permitted; timed_out.
[[nodiscard]] Result<Connection> connect(std::string_view name_or_path = {},
                                         Deadline = Deadline::in(std::chrono::seconds(5)));

}  // namespace bulkhead
