// The brain: wires the parts of the supervisor to one event loop. All policy is in the core, all
// bookkeeping in the parts; this is who calls whom when something happens.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <vector>

#include "supervisor/control_api.hpp"
#include "supervisor/hang_desk.hpp"
#include "supervisor/held_sockets.hpp"
#include "supervisor/incidents.hpp"
#include "supervisor/plain_desk.hpp"
#include "supervisor/port_probes.hpp"
#include "supervisor/service_voice.hpp"

namespace bulkhead::supervisor {

// Threads: one. It may be killed at any instruction: everything that its successor needs lies in the
// keeper's store and in the state memory before it is acted upon.
class Brain {
 public:
  static Result<std::unique_ptr<Brain>> create(const BrainArguments&);
  ~Brain();

  // Returns when the system is down; the result is its exit code. The keeper then ends everything.
  int run();

 private:
  Brain(BrainArguments, RunningConfig, SystemConfig, KeeperClient, StateRegion, SystemRecord,
        IncidentStore);

  // brain_wiring.cpp
  Supervision::Shell make_shell();
  WorkerPost make_post();
  Incidents::Shell make_incident_shell();
  PlainDesk::Callbacks make_plain_callbacks();
  WorkerDesk::Callbacks make_desk_callbacks();
  DeadLetters::Callbacks make_letter_callbacks();
  ConfigDesk::Parts make_config_parts();
  ControlServer::Callbacks make_server_callbacks();
  ControlApi::Parts make_api_parts();
  InternalWorker::Options logger_options();
  InternalWorker::Options viewer_options();
  void became_ready(Slot, Generation);
  bool is_ready(Slot) const;
  std::uint64_t next_session();

  void begin_internals();
  void take_over();
  std::vector<Living> find_living();
  void await_bell();
  void on_bell();
  void on_exit(const ExitEntry&);
  void on_internal_exit(Slot);
  void spawn(Slot, Generation);
  void failed_to_start(Slot, const StartOutcome&);

  // brain_spares.cpp
  void promote(const Promote&);
  bool is_instance(Slot spare, const Claim&, const std::vector<Living>&) const;
  std::optional<Slot> instance_that_was(Slot spare, const ExitEntry&) const;
  struct FormerSelf {
    Slot spare = no_slot;
    Generation generation = 0;
  };
  std::optional<FormerSelf> former_self(Slot) const;
  void on_spare_exit(Slot, const ExitEntry&);
  void announce_spare(const Announce&);
  void find_former_spares();
  void end_former_spares();
  bool is_outdated(const WorkerPlan&) const;
  void find_outdated_spares(const std::vector<Living>&);
  void renew_outdated_spares();
  void announce(const Announce&);
  void violated(Slot, const Error&);
  void quarantined(const Introducer::Quarantined&, const ipc::TaskQuarantined&);
  void changed();
  void arm_timer();
  void on_timer();
  void await_pulse();
  void finished(int exit_code);
  void remove_cgroups();
  void logger_said(const ipc::Packet&);
  void leave_when_done();

  // brain_hangs.cpp
  void on_silence(const BeatWatch::Overdue&);
  void on_long_lease(const LeaseWatch::Overdue&);
  void on_unheard(Slot, Generation);
  void kill_examined(Slot, Generation, const Event&);

  // brain_web.cpp
  InternalWorker::Options web_options();
  void introduce_web(ControlPort&);
  void dismiss_web();
  void hear(const ClientRequest&);

  // brain_config.cpp
  Result<void> begin_sockets();
  void settle_in(const RunningConfig&);
  void introduce_logger(ControlPort&);
  void tell_of_takeover(TimeNs began);
  void begin_rollout();
  void roll();
  bool has_everybody_left() const;
  void hand_over();
  // Ids of requests to the logger: this one, and with an incident's number added the one for its last lines.
  static constexpr std::uint64_t log_flush_id = 1;

  struct Violations {
    TimeNs quiet_until = 0;
    std::uint64_t unsaid = 0;
  };

  // In the order in which they come to life; each uses only those above it.
  BrainArguments arguments_;
  SystemConfig config_;
  Plan plan_;
  KeeperClient keeper_;
  HeldSockets sockets_;
  StateRegion state_;
  SystemRecord record_;  // as it was at the start
  boost::asio::io_context io_;
  EventJournal journal_;
  WorkerLimits limits_;
  Processes processes_;
  LogFeed logs_;
  CrashPages crash_pages_;
  Incidents incidents_;
  WorkerDesk desk_;
  PlainDesk plain_;
  Introducer introducer_;
  DeadLetters letters_;
  Supervision supervision_;
  Sessions sessions_;
  ConfigDesk configs_;
  Rollout rollout_;
  std::vector<Violations> violations_;  // by slot
  std::vector<std::string>
      former_logs_;  // of instances that are gone: the logger has to let go of them
  // Processes whose place in the state memory no instance has: spares that a reload took away.
  struct FormerSpare {
    Slot seat;
    Generation generation;
    base::UniqueFd pidfd;
  };
  std::vector<FormerSpare> former_spares_;
  std::map<Slot, Generation> outdated_spares_;  // begun under another config than is in force
  PortProbes probes_;
  HangDesk hangs_;
  InternalWorker logger_, viewer_, web_;
  std::vector<InternalWorker*> internals_;
  ControlServer server_;
  ControlApi api_;
  ServiceVoice voice_;
  boost::asio::posix::stream_descriptor bell_;
  boost::asio::steady_timer timer_, pulse_, farewell_;
  std::uint32_t stop_requests_seen_ = 0;
  int exit_code_ = 0;
  bool finished_ = false, flushed_ = false;
  bool rolls_ = false, is_rolling_ = false, handing_over_ = false;
  bool reads_on_ = false;  // a turn that reads more exits is to come
};

}  // namespace bulkhead::supervisor
