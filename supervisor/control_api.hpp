// What the command line may ask of a running system, method by method
// (docs/design/control-protocol.md). Used by the brain; edits desired states, never actual ones.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/config_desk.hpp"
#include "supervisor/control_server.hpp"
#include "supervisor/dead_letters.hpp"
#include "supervisor/event_journal.hpp"
#include "supervisor/incidents.hpp"
#include "supervisor/log_feed.hpp"
#include "supervisor/rollout.hpp"
#include "supervisor/sessions.hpp"
#include "supervisor/status_report.hpp"

namespace bulkhead::supervisor {

// Of a request; 0 for one that bears none.
std::uint64_t operation_of(const ClientRequest&);

// Answers at once, or when the state that was asked for is reached; a client that leaves takes its
// waiting requests along. Threads: the brain's loop. After a crash of the brain: clients
// reconnect and repeat; a write that was carried out already is recognised by its operation id.
class ControlApi {
 public:
  struct Parts {
    ControlServer& server;
    Supervision& supervision;
    Processes& processes;
    Sessions& sessions;
    EventJournal& journal;
    LogFeed& logs;
    DeadLetters& letters;
    ConfigDesk& configs;
    Rollout& rollout;
    std::function<void()> roll;       // the rollout has been given something to do
    std::function<void()> hand_over;  // to a brain that begins with another config
    Incidents& incidents;
    WorkerDesk& desk;
    StatusSources status;
  };

  explicit ControlApi(Parts);

  void request(const ClientRequest&);
  void gone(ClientId);
  void happened(const EventRecord&);  // to the followers
  void changed();                     // some state changed: looks at the waiting requests again
  void finished();                    // the system is down: answers those who wait for that
  // Somebody has been told how the start went, or wants the system to end.
  bool start_is_over() const noexcept { return start_is_over_; }

 private:
  using Outcome = std::optional<Result<ipc::Json>>;  // nullopt: not yet
  struct Waiting {
    ClientId client;
    std::uint64_t id;
    std::function<Outcome()> look;
  };

  Result<void> dispatch(const ClientRequest&);
  Result<void> kill(const ClientRequest&);
  Result<void> start(const ClientRequest&);
  Result<void> stop(const ClientRequest&);
  Result<void> restart(const ClientRequest&);
  Result<void> events(const ClientRequest&);
  Result<void> log_files(const ClientRequest&);
  Result<void> connect_service(const ClientRequest&);
  Result<void> queues(const ClientRequest&);
  Result<void> requeue(const ClientRequest&);
  // control_reload.cpp
  Result<void> show_config(const ClientRequest&);
  Result<void> plan_config(const ClientRequest&);
  Result<void> reload(const ClientRequest&);
  Result<void> scale(const ClientRequest&);
  Result<void> put_in_force(const ClientRequest&, const std::function<Result<bool>()>& change);
  Outcome in_force(const std::vector<Slot>& touched) const;
  Outcome all_left() const;
  void replace_one_by_one(const std::vector<Slot>&);
  // control_api_faults.cpp
  Result<void> leak(const ClientRequest&);
  // control_api_incidents.cpp
  Result<void> incidents(const ClientRequest&);
  Result<void> why(const ClientRequest&);
  void expect_kill(const ClientRequest&, Slot, int signal);
  Outcome settled() const;
  void wait(const ClientRequest&, std::function<Outcome()>);
  bool first_time(const ClientRequest&);
  bool was_carried_out(std::uint64_t operation) const;
  Result<std::vector<Slot>> named(const ClientRequest&) const;
  ipc::Json names(const std::vector<Slot>&) const;

  Parts parts_;
  const Plan& plan_;
  std::vector<Waiting> waiting_;
  std::vector<ClientId> followers_;
  std::vector<std::pair<ClientId, std::uint64_t>> shutdown_waiters_;
  bool start_is_over_ = false;
};

}  // namespace bulkhead::supervisor
