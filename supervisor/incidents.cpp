// Opening, following and closing incidents.
#include "supervisor/incidents.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <map>
#include <string_view>
#include <utility>

#include "base/clock.hpp"
#include "supervisor/incident_words.hpp"

namespace bulkhead::supervisor {
namespace {

using incident_layout::Stage;

constexpr const char* store_tag = "incidents";
constexpr std::size_t asked_at_once = 16;  // the logger has other things to do
constexpr TimeNs t0_age_max = 60'000'000'000;

std::string_view name_of(const IncidentRecord& record) {
  return {record.name.data(), ::strnlen(record.name.data(), record.name.size())};
}

bool is_open(const IncidentRecord& record) {
  return record.stage == static_cast<std::uint32_t>(Stage::open);
}

// One who is told to stop may do so by an exit or by a signal that ends politely; a crash stays a crash.
bool ends_politely(const ExitEntry& entry) {
  if (entry.code == CLD_EXITED) return true;
  constexpr int crashes[] = {SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGTRAP};
  return std::find(std::begin(crashes), std::end(crashes), entry.status) == std::end(crashes);
}

bool has_finished(const InstancePlan& plan, const ExitEntry& entry) {
  const bool may_be_done =
      plan.kind != WorkerKind::service || plan.restart.policy != RestartPolicy::always;
  return may_be_done && entry.code == CLD_EXITED && entry.status == 0;
}

bool hung(const InstanceState& dead) {
  return dead.killed_for == KilledFor::watchdog || dead.killed_for == KilledFor::lease;
}

}  // namespace

Result<IncidentStore> Incidents::open_store(KeeperClient& keeper) {
  if (const auto kept = keeper.take(store_tag); kept.is_open()) {
    return IncidentStore::map(kept.get());
  }
  const auto made = IncidentStore::create();
  if (!made) return made.error();
  if (const auto stored = keeper.put(store_tag, made->get()); !stored) return stored.error();
  return IncidentStore::map(made->get());
}

// What stands under the name that an instance has now is its past; of others only the record is left.
Incidents::Incidents(const Plan& plan, IncidentStore store, CrashPages& pages,
                     EventJournal& journal, Shell shell)
    : plan_(plan),
      store_(std::move(store)),
      pages_(pages),
      journal_(journal),
      shell_(std::move(shell)),
      known_(plan.instances.size()) {
  std::map<std::string_view, Slot> slots;  // a reload may have moved them
  for (Slot slot = 0; slot < known_.size(); ++slot) slots[plan.instances[slot].name] = slot;
  for (std::uint64_t number = store_.oldest(); number < store_.next(); ++number) {
    auto* const record = store_.find(number);
    if (record == nullptr) continue;
    const auto found = slots.find(name_of(*record));
    if (found == slots.end()) continue;
    record->slot = found->second;
    Known& known = known_[record->slot];
    known.newest = std::max(known.newest, record->generation);
    known.number = number;
    if (is_open(*record)) known.open.push_back(number);
    const auto* const detail = store_.detail(number);
    const bool asked = detail != nullptr &&
                       detail->logs == static_cast<std::uint32_t>(incident_layout::Logs::asked);
    if (asked) unasked_.push_back(number);
  }
}

void Incidents::restore(const std::vector<InstanceState>& instances) {
  for (Slot slot = 0; slot < known_.size(); ++slot) {
    const InstanceState& now = instances[slot];
    // One that was taken away and added again begins anew.
    if (now.generation < known_[slot].newest) known_[slot] = Known{};
    if (now.status != InstanceStatus::ready || now.generation <= known_[slot].newest) continue;
    announced({Announce::Type::ready, slot, now.generation, now.pid, {}, 0}, now.ready_at);
  }
}

void Incidents::expect(Slot slot, Kill kill) {
  const TimeNs now = base::monotonic_ns();
  if (kill.t0 > now || now - kill.t0 > t0_age_max) kill.t0 = 0;
  known_[slot].kill = kill;
}

void Incidents::examined(Slot slot, Generation generation, HangReport report) {
  known_[slot].examined = generation;
  known_[slot].hang = std::move(report);
}

ExitKind Incidents::died(const ExitEntry& entry, const InstanceState& dead, bool stopping,
                         const MemoryDeath& memory) {
  const Slot slot = entry.slot;
  Known& known = known_[slot];
  const bool by_signal = entry.code != CLD_EXITED;
  auto report = pages_.read(slot, entry.generation);
  if (report && (!by_signal || report->signal != entry.status)) report.reset();
  ExitKind kind = by_signal ? ExitKind::signal : ExitKind::exit;
  const bool is_expected =
      known.kill.generation == entry.generation && by_signal && known.kill.signal == entry.status;
  const bool by_us = is_expected || dead.killed_for != KilledFor::nothing;
  if ((report && ran_out_of_memory(*report)) || (memory.was_killed && !by_us)) {
    kind = ExitKind::oom;
  }
  if (entry.generation <= known.newest) return kind;

  const bool asked =
      stopping || dead.stop_was_asked || dead.restart_requested || dead.desired == Desired::down;
  if ((asked && ends_politely(entry)) || has_finished(plan_.instances[slot], entry)) return kind;

  IncidentRecord record;
  record.slot = slot;
  record.generation = entry.generation;
  record.pid = entry.pid;
  record.cause_kind = static_cast<std::uint8_t>(kind);
  if (dead.killed_for == KilledFor::watchdog) {
    record.cause_kind = static_cast<std::uint8_t>(ExitKind::watchdog);
  }
  if (dead.killed_for == KilledFor::lease) {
    record.cause_kind = static_cast<std::uint8_t>(ExitKind::lease);
  }
  record.killed_for = static_cast<std::uint8_t>(dead.killed_for);
  const bool was_examined = known.examined == entry.generation && hung(dead);
  if (was_examined) {
    record.hang = static_cast<std::uint8_t>(known.hang.verdict.hang);
    record.hang_cpu_percent = static_cast<std::uint8_t>(known.hang.verdict.cpu_percent);
    record.hang_thread = known.hang.verdict.thread;
  }
  record.core_dumped = entry.code == CLD_DUMPED ? 1 : 0;
  record.cause_code = entry.status;
  if (is_expected) {
    record.t0_ns = known.kill.t0;
    record.killer = known.kill.sender;
  }
  record.died_ns = entry.t_ns;
  record.user_us = entry.user_us;
  record.system_us = entry.system_us;
  record.max_rss_kib = entry.max_rss_kib;
  record.memory_limit = memory.limit;
  record.oom_kills = memory.oom.kills;
  record.at_memory_limit = memory.oom.own_limit ? 1 : 0;
  note(record, report ? &*report : nullptr, was_examined ? known.hang.threads : "");
  known.hang = {};
  return kind;
}

void Incidents::failed_to_start(Slot slot, Generation generation, int error_number) {
  if (generation <= known_[slot].newest) return;
  IncidentRecord record;
  record.slot = slot;
  record.generation = generation;
  record.cause_kind = static_cast<std::uint8_t>(ExitKind::exec_failed);
  record.cause_code = error_number;
  record.died_ns = base::monotonic_ns();
  note(record, nullptr);
}

void Incidents::note(IncidentRecord record, const ipc::CrashPage* report,
                     std::string_view threads) {
  Known& known = known_[record.slot];
  const std::string& name = plan_.instances[record.slot].name;
  std::copy_n(name.begin(), std::min(name.size(), record.name.size() - 1), record.name.begin());
  record.told_ns = base::monotonic_ns();
  known.newest = record.generation;
  known.number = store_.append(record, report, threads);
  known.open.push_back(known.number);
  unasked_.push_back(known.number);
}

void Incidents::announced(const Announce& what, TimeNs now) {
  Known& known = known_[what.slot];
  if (known.open.empty()) return;
  const bool is_over = what.type == Announce::Type::ready || what.type == Announce::Type::stopped ||
                       what.type == Announce::Type::failed ||
                       what.type == Announce::Type::quarantined;
  if (what.type != Announce::Type::starting && !is_over) return;
  for (const std::uint64_t number : known.open) {
    auto* const record = store_.find(number);
    if (record == nullptr) continue;
    if (what.type == Announce::Type::starting) {
      if (record->spawned_ns == 0) record->spawned_ns = now;
    } else if (what.type == Announce::Type::ready) {
      close(*record, what.generation, what.pid, now);
    } else {
      record->stage = static_cast<std::uint32_t>(Stage::given_up);
    }
  }
  if (is_over) known.open.clear();
}

void Incidents::close(IncidentRecord& record, Generation successor, std::int32_t pid,
                      TimeNs ready) {
  record.successor = successor;
  record.ready_ns = ready;
  record.stage = static_cast<std::uint32_t>(Stage::closed);
  const TimeNs start = record.t0_ns != 0 ? record.t0_ns : record.died_ns;
  EventJournal::Closed closed{record.slot, successor, pid, record.number, 0, cause_of(record)};
  closed.ready_ns = ready > start ? ready - start : 0;
  shell_.happened(journal_.incident_closed(closed, base::monotonic_ns()));
}

void Incidents::ask_for_logs() {
  while (!unasked_.empty() && asked_.size() < asked_at_once) {
    const std::uint64_t number = unasked_.front();
    const auto* const record = store_.find(number);
    if (record != nullptr && store_.detail(number) != nullptr) {
      if (!shell_.ask_for_log(record->slot, number)) return;
      asked_.insert(number);
    }
    unasked_.pop_front();
  }
}

void Incidents::logger_is_new() {
  unasked_.insert(unasked_.begin(), asked_.begin(), asked_.end());
  asked_.clear();
  ask_for_logs();
}

void Incidents::log_arrived(std::uint64_t number, std::string_view text) {
  if (asked_.erase(number) == 0) return;
  store_.set_log(number, text.substr(beginning_of_last(text, incident_layout::log_bytes_max)));
  ask_for_logs();
}

const ipc::CrashPage* Incidents::report_of(const IncidentRecord& record) const {
  const auto* const detail = store_.detail(record.number);
  return detail != nullptr && record.has_report != 0 ? &detail->report : nullptr;
}

const IncidentRecord* Incidents::latest(Slot slot) const {
  return store_.find(known_[slot].number);
}

std::string Incidents::words(const IncidentRecord& record) const {
  return death_in_words(record, report_of(record));
}

}  // namespace bulkhead::supervisor
