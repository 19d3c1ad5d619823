// What the command line may ask of a running system, method by method
// (docs/design/control-protocol.md). Used by the brain; edits desired states, never actual ones.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/control_server.hpp"
#include "supervisor/dead_letters.hpp"
#include "supervisor/event_journal.hpp"
#include "supervisor/incidents.hpp"
#include "supervisor/log_feed.hpp"
#include "supervisor/sessions.hpp"
#include "supervisor/status_report.hpp"

namespace bulkhead::supervisor {

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
    Incidents& incidents;
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
  // control_api_incidents.cpp
  Result<void> incidents(const ClientRequest&);
  Result<void> why(const ClientRequest&);
  void expect_kill(const ClientRequest&, Slot, int signal);
  Outcome settled() const;
  void wait(const ClientRequest&, std::function<Outcome()>);
  bool first_time(const ClientRequest&);
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
