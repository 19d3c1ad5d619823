// What is kept of each death of a worker that nobody asked for: its cause, crash report, last lines of its log, and
// how long until a successor was ready. Told by the brain what happens; decides nothing about restarts.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/core.hpp"
#include "supervisor/crash_pages.hpp"
#include "supervisor/event_journal.hpp"
#include "supervisor/hang_report.hpp"
#include "supervisor/incident_store.hpp"
#include "supervisor/keeper_client.hpp"
#include "supervisor/worker_limits.hpp"

namespace bulkhead::supervisor {

// Threads: the brain's loop. After a crash of the brain: everything told before is in the keeper's memory; a
// death that was not noted comes again out of the exit ring.
class Incidents {
 public:
  struct Shell {
    std::function<void(const EventRecord&)> happened;
    // Asks the logger for the last lines of an instance; false: there is none now.
    std::function<bool(Slot, std::uint64_t number)> ask_for_log;
  };

  // What the keeper has, or fresh memory that it holds from now on.
  static Result<IncidentStore> open_store(KeeperClient&);

  Incidents(const Plan&, IncidentStore, CrashPages&, EventJournal&, Shell);

  // Somebody is about to send a signal through us.
  struct Kill {
    Generation generation = 0;  // of the victim
    int signal = 0;
    TimeNs t0 = 0;  // 0: not known
    std::int32_t sender = 0;
  };
  void expect(Slot, Kill);

  // What was found out about an incarnation that is going to be killed because it hangs.
  void examined(Slot, Generation, HangReport);

  // Before anything is done about the exit; `dead` is the instance as it was. Returns the kind of exit, which the
  // report or a cgroup may know better than the signal. Idempotent.
  ExitKind died(const ExitEntry& by_slot, const InstanceState& dead, bool stopping,
                const MemoryDeath&);
  void failed_to_start(Slot, Generation, int error_number);
  void announced(const Announce&, TimeNs now);
  // What became ready before a predecessor of this brain could say so.
  void restore(const std::vector<InstanceState>&);

  // Asks for what was not asked for yet; a logger that is new has heard none of it.
  void ask_for_logs();
  void logger_is_new();
  void log_arrived(std::uint64_t number, std::string_view text);

  // The newest of an instance's; null when there is none that is still kept.
  const IncidentRecord* latest(Slot) const;
  std::string words(const IncidentRecord&) const;  // "SIGSEGV reading 0x0"

  // Some incidents from this number on, oldest first: {incidents, next, complete}.
  nlohmann::json page(std::uint64_t since) const;

 private:
  struct Known {
    Generation newest = 0;            // the latest incarnation whose death is noted
    std::uint64_t number = 0;         // of its incident
    std::vector<std::uint64_t> open;  // no successor is ready yet
    Kill kill;
    Generation examined = 0;  // whose `hang` is
    HangReport hang;
  };

  void note(IncidentRecord, const ipc::CrashPage* report, std::string_view threads = {});
  void close(IncidentRecord&, Generation successor, std::int32_t pid, TimeNs ready);
  const ipc::CrashPage* report_of(const IncidentRecord&) const;
  nlohmann::json render(const IncidentRecord&) const;

  const Plan& plan_;
  IncidentStore store_;
  CrashPages& pages_;
  EventJournal& journal_;
  Shell shell_;
  std::vector<Known> known_;           // by slot
  std::deque<std::uint64_t> unasked_;  // whose last lines are wanted
  std::set<std::uint64_t> asked_;
};

}  // namespace bulkhead::supervisor
