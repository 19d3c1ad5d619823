// `chaos`: kills, stops, slows and hangs at random what a system is made of, lets it leak, run out of memory and lose
// descriptors, looks meanwhile whether it keeps its promises, and says how fast it recovered.
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <queue>
#include <utility>

#include "base/clock.hpp"
#include "base/fd.hpp"
#include "base/units.hpp"
#include "bench/machine.hpp"
#include "cli/chaos_process.hpp"
#include "cli/chaos_schedule.hpp"
#include "cli/chaos_signals.hpp"
#include "cli/chaos_victims.hpp"
#include "cli/chaos_watch.hpp"
#include "cli/commands.hpp"
#include "cli/incident_text.hpp"
#include "cli/system.hpp"
#include "cli/terminal.hpp"
#include "ipc/fault_protocol.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds between_statuses{100};
constexpr milliseconds slow_step{5};  // stopped for one, running for one
constexpr std::chrono::seconds hang_longest{30};
constexpr std::chrono::seconds patience{60};  // for everybody to come back after the last fault

// What a fault is to a worker's memory and descriptors.
constexpr milliseconds between_leaks{50};
constexpr std::uint64_t leaked_bytes = 2 << 20;
constexpr std::uint32_t leaked_descriptors = 64;
// Of a victim without a limit small enough to be reached at no cost to others: what it may still have.
constexpr std::uint64_t memory_left = 16 << 20;

// Faults as they come due, and what those that last do later.
class Chaos {
 public:
  Chaos(Connection& system, ChaosWatch& watch, std::vector<Victim> victims,
        std::vector<Fault> schedule, bool tells)
      : system_(system),
        watch_(watch),
        victims_(std::move(victims)),
        schedule_(std::move(schedule)),
        tells_(tells),
        begin_(base::monotonic_ns()) {}

  void run(nanoseconds duration);
  std::uint64_t made(FaultKind kind) const {
    const auto found = made_.find(kind);
    return found == made_.end() ? 0 : found->second;
  }
  std::uint64_t missed() const noexcept { return missed_; }
  // Of those incidents that a fault has brought about, each with the fault for a cause.
  json incidents_by_fault(const json& incidents) const;

 private:
  using Process = std::shared_ptr<const PinnedProcess>;
  struct Step {
    std::uint64_t at;
    std::function<void()> act;
    bool is_last = false;  // of its fault: not left out when the run ends early
    bool operator<(const Step& other) const noexcept { return at > other.at; }
  };

  void make(const Fault&);
  Result<void> carry_out(const Fault&, const std::string& name);
  Result<void> kill(const std::string& name);
  Result<void> stop(const Fault&, const Process&);
  Result<void> begin_leak(const Fault&, const std::string& name, const Process&);
  Result<void> leak(const std::string& name, int pid, std::uint64_t bytes,
                    std::uint32_t descriptors);
  Result<void> run_out_of_memory(const std::string& name, const Process&);
  void has_hit(FaultKind, const std::string& name, int pid);
  void later(std::uint64_t at, std::function<void()> act) { steps_.push({at, std::move(act)}); }
  void at_last(std::uint64_t at, std::function<void()> act) {
    steps_.push({at, std::move(act), true});
  }
  void take_steps(std::uint64_t now);
  bool wait_until(std::uint64_t when, int signals);

  Connection& system_;
  ChaosWatch& watch_;
  const std::vector<Victim> victims_;
  const std::vector<Fault> schedule_;
  const bool tells_;
  const std::uint64_t begin_;
  std::priority_queue<Step> steps_;
  DueSignals signals_;
  std::map<FaultKind, std::uint64_t> made_;
  std::map<std::pair<std::string, int>, FaultKind> hit_;  // which process by which fault
  std::uint64_t missed_ = 0;
};

std::uint64_t span_ns(nanoseconds span) { return static_cast<std::uint64_t>(span.count()); }

// By the supervisor for a worker, who then knows from when on its recovery counts.
Result<void> Chaos::kill(const std::string& name) {
  const bool is_worker = name.find('.') != std::string::npos;
  if (!is_worker) {
    if (PinnedProcess(pid_of(watch_.status(), name)).signal(SIGKILL)) return {};
    return make_error(Errc::not_found, "it does not run");
  }
  const auto answer = system_.request(
      "kill", {{"name", name}, {"signal", SIGKILL}, {"t0_ns", base::monotonic_ns()}},
      Deadline::in(answer_timeout));
  if (!answer) return answer.error();
  for (const auto& pid : answer->at("pids")) {
    watch_.was_killed(pid);
    has_hit(FaultKind::kill, name, pid);
  }
  return {};
}

// For a while, half of a while, or until somebody kills it.
Result<void> Chaos::stop(const Fault& fault, const Process& process) {
  const std::uint64_t now = base::monotonic_ns();
  const std::uint64_t end =
      now + span_ns(fault.kind == FaultKind::hang ? hang_longest : fault.length);
  if (!process->signal(SIGSTOP)) return make_error(Errc::not_found, "it does not run");
  if (fault.kind == FaultKind::slow) {
    const std::uint64_t step = span_ns(slow_step);
    for (std::uint64_t at = now + step; at < end; at += 2 * step) {
      signals_.send_at(at, process, SIGCONT);
      if (at + step < end) signals_.send_at(at + step, process, SIGSTOP);
    }
  }
  signals_.send_at(end + 1, process, SIGCONT);
  return {};
}

// The runtime allocates in the victim's name: from outside that would take ptrace(2), which may be refused, and
// would leave the victim's own allocator out. It ends as leaks end: somebody kills the process, and all is given back.
Result<void> Chaos::begin_leak(const Fault& fault, const std::string& name,
                               const Process& process) {
  const int pid = process->pid();
  const auto step = [this, name, pid] { return leak(name, pid, leaked_bytes, leaked_descriptors); };
  if (auto begun = step(); !begun) return begun;
  watch_.has_leaked(name);
  const std::uint64_t now = base::monotonic_ns();
  const std::uint64_t end = now + span_ns(fault.length);
  for (std::uint64_t at = now + span_ns(between_leaks); at < end; at += span_ns(between_leaks)) {
    later(at, [step] { (void)step(); });
  }
  at_last(end, [this, process] {
    if (process->signal(SIGKILL)) watch_.was_killed(process->pid());
  });
  return {};
}

Result<void> Chaos::leak(const std::string& name, int pid, std::uint64_t bytes,
                         std::uint32_t descriptors) {
  json wanted = ipc::encode(ipc::Leak{bytes, descriptors});
  wanted.update({{"name", name}, {"pid", pid}});
  const auto answer = system_.request(std::string(ipc::method::leak), std::move(wanted),
                                      Deadline::in(answer_timeout));
  if (!answer) return answer.error();
  return {};
}

// Into the limit of its cgroup, where it has one that is reached soon, and the kernel kills it; else into its
// RLIMIT_AS, which is lowered to little more than it has, and its own allocation fails. A limit alone kills nobody who has
// what it needs: so it is made to allocate. It has to die of it, and to come back.
Result<void> Chaos::run_out_of_memory(const std::string& name, const Process& process) {
  const json* const row = find_worker(watch_.status(), name);
  const json limit = row == nullptr ? json() : row->at("limits").value("memory", json());
  const bool is_near = limit.is_object() && limit["by"].is_string() &&
                       limit["by"].get<std::string>().starts_with("cgroup") &&
                       limit["bytes"].get<std::uint64_t>() <= ipc::leak_bytes_max;
  std::optional<std::uint64_t> before;
  if (!is_near) {
    const auto limited = process->limit_memory(memory_left);
    if (!limited) return limited.error();
    before = *limited;
  }
  if (auto asked = leak(name, process->pid(), ipc::leak_bytes_max, 0); !asked) {
    if (before) process->give_memory(*before);  // a fault that is missed leaves nothing behind
    return asked;
  }
  watch_.was_killed(process->pid());
  return {};
}

Result<void> Chaos::carry_out(const Fault& fault, const std::string& name) {
  if (fault.kind == FaultKind::kill) return kill(name);
  const int pid = pid_of(watch_.status(), name);
  if (pid == 0) return make_error(Errc::not_found, "it does not run");
  const auto process = std::make_shared<const PinnedProcess>(pid);
  auto done = [&]() -> Result<void> {
    switch (fault.kind) {
      case FaultKind::leak: return begin_leak(fault, name, process);
      case FaultKind::oom: return run_out_of_memory(name, process);
      case FaultKind::drop: return process->cut_connection(fault.choice);
      default: return stop(fault, process);
    }
  }();
  if (done) has_hit(fault.kind, name, pid);
  return done;
}

// Of several faults the last, but of those that need not kill only the first.
void Chaos::has_hit(FaultKind kind, const std::string& name, int pid) {
  const bool may_live =
      kind == FaultKind::stop || kind == FaultKind::slow || kind == FaultKind::drop;
  if (may_live) {
    hit_.try_emplace({name, pid}, kind);
  } else {
    hit_.insert_or_assign({name, pid}, kind);
  }
}

json Chaos::incidents_by_fault(const json& incidents) const {
  json ours = json::array();
  for (json incident : incidents) {
    const auto hit = hit_.find({incident["name"].get<std::string>(), incident["pid"].get<int>()});
    if (hit == hit_.end()) continue;
    incident["cause"] = to_string(hit->second);
    ours.push_back(std::move(incident));
  }
  return ours;
}

void Chaos::make(const Fault& fault) {
  const std::string& name = victims_[fault.target].name;
  const auto done = carry_out(fault, name);
  ++(done ? made_[fault.kind] : missed_);
  if (!tells_) return;
  std::printf("%7.3f s  %-5s %s%s\n", std::chrono::duration<double>(fault.at).count(),
              std::string(to_string(fault.kind)).c_str(), printable(name).c_str(),
              done ? "" : printable(", missed: " + done.error().to_string()).c_str());
  std::fflush(stdout);
}

void Chaos::take_steps(std::uint64_t now) {
  while (!steps_.empty() && steps_.top().at <= now) {
    const auto act = steps_.top().act;
    steps_.pop();
    act();  // on a process that may be dead by now
  }
}

// False when somebody wants an end.
bool Chaos::wait_until(std::uint64_t when, int signals) {
  for (;;) {
    const std::uint64_t now = base::monotonic_ns();
    take_steps(now);
    if (now >= when) return true;
    const std::uint64_t next = steps_.empty() ? when : std::min(when, steps_.top().at);
    const auto span = static_cast<long>(next > now ? next - now : 0);
    const timespec time{span / 1'000'000'000, span % 1'000'000'000};
    pollfd fd{signals, POLLIN, 0};
    if (::ppoll(&fd, 1, &time, nullptr) > 0) return false;
  }
}

void Chaos::run(nanoseconds duration) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  const base::UniqueFd signals{::signalfd(-1, &ends, SFD_CLOEXEC)};
  const auto look_span = span_ns(between_statuses);
  const std::uint64_t end = begin_ + span_ns(duration);
  std::uint64_t next_look = begin_;
  auto fault = schedule_.begin();
  for (;;) {
    const std::uint64_t due = fault == schedule_.end() ? end : begin_ + span_ns(fault->at);
    if (!wait_until(std::min(due, next_look), signals.get())) break;
    const std::uint64_t now = base::monotonic_ns();
    if (fault != schedule_.end() && now >= due) make(*fault++);
    if (now >= next_look) {
      watch_.look();
      next_look = base::monotonic_ns() + look_span;
    }
    if (fault == schedule_.end() && now >= end) break;
  }
  // Nobody stays stopped by us, or goes on leaking; a watchdog may be faster.
  signals_.finish();
  for (; !steps_.empty(); steps_.pop()) {
    if (steps_.top().is_last) steps_.top().act();
  }
  sigprocmask(SIG_UNBLOCK, &ends, nullptr);
}

json findings_of(const Chaos& chaos, const ChaosWatch& watch, const json& incidents,
                 std::uint64_t seed) {
  json faults = json::object();
  for (const auto kind : fault_kinds) faults[std::string(to_string(kind))] = chaos.made(kind);
  auto answers = watch.answers_us();
  return {{"seed", seed},
          {"faults", std::move(faults)},
          {"missed", chaos.missed()},
          {"recovery", recovery_by_cause(incidents)},
          {"recovery_by_fault", recovery_by_cause(chaos.incidents_by_fault(incidents))},
          {"status",
           {{"n", answers.size()},
            {"p50_us", bench::percentile(answers, 0.5)},
            {"p99_us", bench::percentile(answers, 0.99)},
            {"max_us", bench::percentile(answers, 1)}}},
          {"violations", watch.violations()}};
}

void print_findings(const json& answer) {
  const bool colours = colours_wanted(STDOUT_FILENO);
  std::printf("\n");
  for (const auto kind : fault_kinds) {
    const std::string name(to_string(kind));
    std::printf("%s %s  ", name.c_str(), answer["faults"][name].dump().c_str());
  }
  std::printf("missed %s (nobody was running, or the system refused), seed %s\n",
              answer["missed"].dump().c_str(), answer["seed"].dump().c_str());
  std::printf("%s", recovery_table(answer["recovery"], colours).c_str());
  std::printf("%s", recovery_table(answer["recovery_by_fault"], colours, "AFTER FAULT").c_str());
  const auto& status = answer["status"];
  const auto took = [&](const char* key) {
    return span_text(std::chrono::duration_cast<nanoseconds>(
        std::chrono::duration<double, std::micro>(status[key].get<double>())));
  };
  std::printf("status answered %s times: p50 %s, p99 %s, at most %s\n", status["n"].dump().c_str(),
              took("p50_us").c_str(), took("p99_us").c_str(), took("max_us").c_str());
  for (const auto& violation : answer["violations"]) {
    std::printf("%s\n",
                painted(printable("broken: " + violation.get<std::string>()), Colour::red, colours)
                    .c_str());
  }
  if (answer["violations"].empty()) {
    std::printf("%s\n", painted("nothing broken", Colour::green, colours).c_str());
  }
}

}  // namespace

Outcome chaos(const SystemChoice& choice, const ChaosOptions& options) {
  const auto duration = base::parse_duration(options.duration);
  if (!duration) return complain(Outcome::usage, "--duration: " + duration.error().context);
  auto system = reach(choice);
  if (!system) return complain(system.error());
  ChaosWatch watch(*system);
  if (auto begun = watch.begin(); !begun) return complain(begun.error());
  auto victims = find_victims(*system, watch.status(), options.with_supervisor);
  if (!victims) return complain(victims.error());
  const auto only = fault_kind(options.only);
  if (only) std::erase_if(*victims, [&](const auto& one) { return !takes(one.target, *only); });
  if (victims->empty()) {
    return complain(Outcome::failed,
                    "no service is ready that this can be done to, so there is nobody to disturb "
                    "(see: bulkhead status)");
  }
  std::vector<FaultTarget> targets;
  for (const auto& victim : *victims) targets.push_back(victim.target);
  const std::uint64_t seed = options.seed.value_or(base::monotonic_ns() / 1000 % 1'000'000);
  auto schedule = make_schedule({*duration, options.rate, seed, only}, targets);
  const auto before = all_incidents(*system);
  if (!before) return complain(before.error());
  const std::uint64_t first =
      before->empty() ? 0 : before->back()["number"].get<std::uint64_t>() + 1;
  if (!options.json) {
    std::printf("%zu faults in %s, seed %llu\n", schedule.size(), options.duration.c_str(),
                static_cast<unsigned long long>(seed));
  }
  Chaos chaos(*system, watch, std::move(*victims), std::move(schedule), !options.json);
  chaos.run(*duration);
  watch.conclude(patience);
  const auto incidents = all_incidents(*system, first);
  if (!incidents) return complain(incidents.error());
  const auto findings = findings_of(chaos, watch, *incidents, seed);
  if (options.json) {
    std::printf("%s\n", findings.dump().c_str());
  } else {
    print_findings(findings);
  }
  return watch.violations().empty() ? Outcome::done : Outcome::failed;
}

}  // namespace bulkhead::cli
