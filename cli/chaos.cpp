// `chaos`: kills, stops, slows and hangs at random what a system is made of, looks meanwhile whether it keeps its
// promises, and says how fast it recovered.
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <queue>

#include "base/clock.hpp"
#include "base/fd.hpp"
#include "base/units.hpp"
#include "bench/machine.hpp"
#include "cli/chaos_schedule.hpp"
#include "cli/chaos_watch.hpp"
#include "cli/commands.hpp"
#include "cli/incident_text.hpp"
#include "cli/system.hpp"
#include "cli/terminal.hpp"
#include "supervisor/config.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds between_statuses{100};
constexpr milliseconds slow_step{5};  // stopped for one, running for one
constexpr std::chrono::seconds hang_longest{30};
constexpr std::chrono::seconds patience{60};  // for everybody to come back after the last fault

// What faults may hit: by its name, because its process changes.
struct Victim {
  std::string name;
  bool is_watched = false;
};

// The services among the workers: who runs to an end, or by the clock, is not expected to be there. With
// `supervisor` also the brain, whom the keeper watches, and the logger.
Result<std::vector<Victim>> find_victims(Connection& system, const json& status,
                                         bool with_supervisor) {
  const auto source = system.request("config", json::object(), Deadline::in(answer_timeout));
  if (!source) return source.error();
  supervisor::ParseContext context;
  context.program_directory = program_directory();
  context.check_machine = false;
  const auto parsed = supervisor::parse_config(source->at("text"), source->at("path"), context);
  const auto* const config = std::get_if<supervisor::SystemConfig>(&parsed);
  if (config == nullptr) {
    return make_error(Errc::bad_config,
                      "the config in force is of another version than this command");
  }
  std::vector<Victim> victims;
  for (const auto& row : status["workers"]) {
    const auto* const worker = config->find_worker(row["worker"].get<std::string>());
    const bool is_service = worker != nullptr && worker->kind == supervisor::WorkerKind::service;
    if (is_service && row["state"] == "ready") {
      victims.push_back({row["name"], worker->watchdog.has_value()});
    }
  }
  if (with_supervisor) {
    victims.push_back({"brain", true});
    victims.push_back({"logger", false});
  }
  return victims;
}

int pid_of(const json& status, const std::string& victim) {
  if (victim == "brain") return status["supervisor"]["brain_pid"];
  for (const auto& row : status["workers"]) {
    if (row["name"] == victim) return row["pid"].is_number() ? row["pid"].get<int>() : 0;
  }
  return 0;
}

// A process, and nobody who may get its number later.
class Pinned {
 public:
  explicit Pinned(int pid) {
    if (auto fd = base::open_pidfd(pid)) fd_ = std::move(*fd);
  }
  bool signal(int number) const noexcept {
    return fd_.is_open() && ::syscall(SYS_pidfd_send_signal, fd_.get(), number, nullptr, 0) == 0;
  }

 private:
  base::UniqueFd fd_;
};

// Faults as they come due, and the ends of those that last.
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
  bool was_interrupted() const noexcept { return interrupted_; }

 private:
  struct Step {
    std::uint64_t at;
    std::shared_ptr<Pinned> process;
    int signal;
    bool operator<(const Step& other) const noexcept { return at > other.at; }
  };

  void make(const Fault&);
  bool kill(const std::string& name);
  void take_steps(std::uint64_t now);
  bool wait_until(std::uint64_t when, int signals);

  Connection& system_;
  ChaosWatch& watch_;
  const std::vector<Victim> victims_;
  const std::vector<Fault> schedule_;
  const bool tells_;
  const std::uint64_t begin_;
  std::priority_queue<Step> steps_;
  std::map<FaultKind, std::uint64_t> made_;
  std::uint64_t missed_ = 0;
  bool interrupted_ = false;
};

// By the supervisor for a worker, who then knows from when on its recovery counts.
bool Chaos::kill(const std::string& name) {
  const bool is_worker = name.find('.') != std::string::npos;
  if (!is_worker) return Pinned(pid_of(watch_.status(), name)).signal(SIGKILL);
  const auto answer = system_.request(
      "kill", {{"name", name}, {"signal", SIGKILL}, {"t0_ns", base::monotonic_ns()}},
      Deadline::in(answer_timeout));
  if (!answer) return false;
  for (const auto& pid : answer->at("pids")) watch_.was_killed(pid);
  return true;
}

void Chaos::make(const Fault& fault) {
  const Victim& victim = victims_[fault.target];
  bool done = false;
  if (fault.kind == FaultKind::kill) {
    done = kill(victim.name);
  } else if (const int pid = pid_of(watch_.status(), victim.name); pid != 0) {
    const auto process = std::make_shared<Pinned>(pid);
    const std::uint64_t now = base::monotonic_ns();
    const nanoseconds length = fault.kind == FaultKind::hang ? hang_longest : fault.length;
    const std::uint64_t end = now + static_cast<std::uint64_t>(length.count());
    done = process->signal(SIGSTOP);
    if (fault.kind == FaultKind::slow) {
      // The last one is let go on by the step after this.
      const auto step = static_cast<std::uint64_t>(nanoseconds(slow_step).count());
      for (std::uint64_t at = now + step; at + step < end; at += 2 * step) {
        steps_.push({at, process, SIGCONT});
        steps_.push({at + step, process, SIGSTOP});
      }
    }
    steps_.push({end, process, SIGCONT});
  }
  ++(done ? made_[fault.kind] : missed_);
  if (!tells_) return;
  std::printf("%7.3f s  %-5s %s%s\n", std::chrono::duration<double>(fault.at).count(),
              std::string(to_string(fault.kind)).c_str(), printable(victim.name).c_str(),
              done ? "" : ", which does not run");
  std::fflush(stdout);
}

void Chaos::take_steps(std::uint64_t now) {
  while (!steps_.empty() && steps_.top().at <= now) {
    (void)steps_.top().process->signal(steps_.top().signal);  // it may be dead by now
    steps_.pop();
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
    if (::ppoll(&fd, 1, &time, nullptr) > 0) {
      interrupted_ = true;
      return false;
    }
  }
}

void Chaos::run(nanoseconds duration) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  const base::UniqueFd signals{::signalfd(-1, &ends, SFD_CLOEXEC)};
  const auto look_span = static_cast<std::uint64_t>(nanoseconds(between_statuses).count());
  const std::uint64_t end = begin_ + static_cast<std::uint64_t>(duration.count());
  std::uint64_t next_look = begin_;
  auto fault = schedule_.begin();
  for (;;) {
    const std::uint64_t due =
        fault == schedule_.end() ? end : begin_ + static_cast<std::uint64_t>(fault->at.count());
    if (!wait_until(std::min(due, next_look), signals.get())) break;
    const std::uint64_t now = base::monotonic_ns();
    if (fault != schedule_.end() && now >= due) make(*fault++);
    if (now >= next_look) {
      watch_.look();
      next_look = base::monotonic_ns() + look_span;
    }
    if (fault == schedule_.end() && now >= end) break;
  }
  // Nobody stays stopped by us; a watchdog may be faster.
  while (!steps_.empty()) {
    (void)steps_.top().process->signal(SIGCONT);
    steps_.pop();
  }
  sigprocmask(SIG_UNBLOCK, &ends, nullptr);
}

json findings_of(const Chaos& chaos, const ChaosWatch& watch, const json& recovery,
                 std::uint64_t seed) {
  json faults = json::object();
  for (const auto kind : fault_kinds) faults[std::string(to_string(kind))] = chaos.made(kind);
  auto answers = watch.answers_us();
  return {{"seed", seed},
          {"faults", std::move(faults)},
          {"missed", chaos.missed()},
          {"recovery", recovery},
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
  for (const auto& [kind, count] : answer["faults"].items()) {
    std::printf("%s %s  ", kind.c_str(), count.dump().c_str());
  }
  std::printf("missed %s (nobody was running), seed %s\n", answer["missed"].dump().c_str(),
              answer["seed"].dump().c_str());
  std::printf("%s", recovery_table(answer["recovery"], colours).c_str());
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
  if (victims->empty()) {
    return complain(Outcome::failed,
                    "no service is ready, so there is nobody to disturb (see: bulkhead status)");
  }
  std::vector<FaultTarget> targets;
  for (const auto& victim : *victims) targets.push_back({victim.is_watched});
  const std::uint64_t seed = options.seed.value_or(base::monotonic_ns() / 1000 % 1'000'000);
  auto schedule = make_schedule({*duration, options.rate, seed}, targets);
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
  const auto findings = findings_of(chaos, watch, recovery_by_cause(*incidents), seed);
  if (options.json) {
    std::printf("%s\n", findings.dump().c_str());
  } else {
    print_findings(findings);
  }
  return watch.violations().empty() ? Outcome::done : Outcome::failed;
}

}  // namespace bulkhead::cli
