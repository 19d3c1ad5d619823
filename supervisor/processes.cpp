#include "supervisor/processes.hpp"

#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <set>
#include <utility>

#include "base/child_process.hpp"
#include "base/process_tree.hpp"
#include "supervisor/contained_start.hpp"
#include "supervisor/expansion.hpp"

namespace bulkhead::supervisor {
namespace {

constexpr auto sweep_patience = std::chrono::seconds(1);
constexpr int first_fd_number =
    3;  // of LISTEN_FDS (sd_listen_fds(3)); the control socket follows them
// With the number of the process that gets them, which the child writes itself.
constexpr std::string_view with_own_pid[] = {"LISTEN_PID=", "WATCHDOG_PID="};
constexpr const char* room_for_pid = "0000000000";

void add_with_own_pid(base::SpawnPlan& plan, std::string_view name) {
  plan.env.push_back(std::string(name) + room_for_pid);
}

// The descriptors from 3 on, and what sd_listen_fds(3) wants to be told of them. Returns the next number.
int pass_descriptors(const WorkerConfig& worker, const StartFds& fds, base::SpawnPlan& plan,
                     std::map<std::string, std::string>& variables) {
  int next = first_fd_number;
  std::string names;
  const auto pass = [&](int fd, const std::string& name) {
    names += (next == first_fd_number ? "" : ":") + name;
    plan.fds.push_back({fd, next++});
  };
  for (std::size_t i = 0; i < fds.sockets.size(); ++i) pass(fds.sockets[i], worker.sockets[i]);
  if (fds.plain != nullptr) {
    for (const auto& stored : fds.plain->stored) pass(stored.fd, stored.name);
  }
  if (next == first_fd_number) return next;
  variables["LISTEN_FDS"] = std::to_string(next - first_fd_number);
  variables["LISTEN_FDNAMES"] = std::move(names);
  add_with_own_pid(plan, with_own_pid[0]);
  return next;
}

// Of a program that does not use the runtime: what sd_notify(3), sd_watchdog_enabled(3) and s6 tell it.
void pass_plain(const WorkerConfig& worker, const PlainStart& start, base::SpawnPlan& plan,
                std::map<std::string, std::string>& variables) {
  variables["NOTIFY_SOCKET"] = start.notify_address;
  if (start.ready.is_open()) plan.fds.push_back({start.ready.get(), worker.ready.fd});
  if (!worker.watchdog) return;
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(*worker.watchdog).count();
  variables["WATCHDOG_USEC"] = std::to_string(us);
  add_with_own_pid(plan, with_own_pid[1]);
}

Result<base::Credentials> look_up_user(const std::string& name) {
  errno = 0;
  const passwd* user = ::getpwnam(name.c_str());
  if (user == nullptr) return make_error(Errc::not_found, "user " + name);
  base::Credentials credentials{user->pw_uid, user->pw_gid, {}};
  int count = 64;
  credentials.groups.resize(static_cast<std::size_t>(count));
  if (::getgrouplist(name.c_str(), user->pw_gid, credentials.groups.data(), &count) < 0) {
    credentials.groups.resize(static_cast<std::size_t>(count));
    ::getgrouplist(name.c_str(), user->pw_gid, credentials.groups.data(), &count);
  }
  credentials.groups.resize(static_cast<std::size_t>(count));
  return credentials;
}

// Those that are always set as rlimits; memory and pids are the affair of WorkerLimits.
std::vector<base::ResourceLimit> resource_limits(const WorkerConfig& worker, std::uint64_t nofile) {
  const Limits& limits = worker.limits;
  std::vector<base::ResourceLimit> list;
  const auto add = [&](int resource, std::uint64_t value) {
    list.push_back({resource, value, value});
  };
  // The keeper raised its own limit; programs that use select() need the old one back.
  rlimit own{};
  ::getrlimit(RLIMIT_NOFILE, &own);
  list.push_back(
      {RLIMIT_NOFILE, limits.nofile.value_or(nofile), limits.nofile.value_or(own.rlim_max)});
  // What a confined worker had in memory stays off the disk, unless somebody asks for it by name.
  const bool no_core = worker.sandbox != Sandbox::none && !limits.core;
  if (limits.core || no_core) add(RLIMIT_CORE, limits.core.value_or(0));
  if (limits.cpu) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*limits.cpu).count();
    add(RLIMIT_CPU, static_cast<std::uint64_t>(seconds));
  }
  return list;
}

std::optional<cpu_set_t> affinity(const Affinity& wanted, std::uint32_t index) {
  if (wanted.kind == Affinity::Kind::none) return std::nullopt;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (wanted.kind == Affinity::Kind::fixed) {
    for (const int cpu : wanted.cpus) CPU_SET(static_cast<std::size_t>(cpu), &set);
    return set;
  }
  cpu_set_t usable;
  CPU_ZERO(&usable);
  ::sched_getaffinity(0, sizeof usable, &usable);
  auto left = index % static_cast<std::uint32_t>(CPU_COUNT(&usable));
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &usable)) continue;
    if (left-- == 0) {
      CPU_SET(cpu, &set);
      return set;
    }
  }
  return std::nullopt;
}

// Errors that come from a lack of something on the machine, and may pass.
bool may_pass(int error_number) {
  return error_number == EAGAIN || error_number == ENOMEM || error_number == EMFILE ||
         error_number == ENFILE || error_number == ETXTBSY;
}

}  // namespace

Processes::Processes(const SystemConfig& config, const Plan& plan, const BrainArguments& arguments,
                     KeeperClient& keeper, StateRegion& state, WorkerLimits& limits,
                     std::uint64_t system_id)
    : config_(config),
      plan_(plan),
      arguments_(arguments),
      keeper_(keeper),
      state_(state),
      limits_(limits),
      system_id_(system_id),
      living_(state_layout::slot_count) {}

std::string Processes::cookie(Slot slot, Generation generation) const {
  std::ostringstream text;
  text << "BULKHEAD_COOKIE=" << std::hex << system_id_ << '/' << state_.seat(slot) << '/'
       << generation;
  return text.str();
}

Result<base::SpawnPlan> Processes::make_spawn_plan(Slot slot, Generation generation,
                                                   const StartFds& fds) const {
  const InstancePlan& instance = plan_.instances[slot];
  const WorkerConfig* const worker = &config_.workers[instance.worker_index];
  base::SpawnPlan plan;
  plan.executable = worker->executable;
  for (const auto& argument : worker->command) {
    auto expanded = expand(argument, instance.index);
    if (!expanded) return expanded.error();
    plan.argv.push_back(std::move(*expanded));
  }
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals == text.npos) continue;
    variables[std::string(text.substr(0, equals))] = text.substr(equals + 1);
  }
  for (const auto& [name, value] : worker->env) {
    auto expanded = expand(value, instance.index);
    if (!expanded) return expanded.error();
    variables[name] = std::move(*expanded);
  }
  for (const char* ours : {"BULKHEAD_CONTROL_FD", "BULKHEAD_COOKIE", "LISTEN_FDS", "LISTEN_PID",
                           "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
    variables.erase(ours);
  }
  const int next_fd = pass_descriptors(*worker, fds, plan, variables);
  if (fds.plain != nullptr) pass_plain(*worker, *fds.plain, plan, variables);
  variables["BULKHEAD_NAME"] = instance.name;
  variables["BULKHEAD_WORKER"] = worker->name;
  variables["BULKHEAD_INDEX"] = std::to_string(instance.index);
  variables["BULKHEAD_GENERATION"] = std::to_string(generation);
  if (fds.control >= 0) {
    variables["BULKHEAD_CONTROL_FD"] = std::to_string(next_fd);
    plan.fds.push_back({fds.control, next_fd});
  }
  for (const auto& [name, value] : variables) plan.env.push_back(name + "=" + value);
  plan.env.push_back(cookie(slot, generation));
  plan.working_dir = worker->working_dir;
  plan.output = plan.errors = fds.output;
  plan.group = base::ProcessGroup::new_group;
  plan.death_signal = base::DeathSignal{SIGKILL, keeper_.keeper_pid()};
  plan.limits = resource_limits(*worker, keeper_.nofile_soft_limit());
  plan.no_new_privs = worker->sandbox != Sandbox::none;
  plan.nice = worker->nice;
  plan.urgent = fds.urgent;
  plan.affinity = affinity(worker->affinity, instance.index);
  if (!worker->user.empty()) {
    auto user = look_up_user(worker->user);
    if (!user) return user.error();
    plan.user = std::move(*user);
  }
  return plan;
}

StartOutcome Processes::start(Slot slot, Generation generation, const StartFds& fds) {
  auto plan = make_spawn_plan(slot, generation, fds);
  if (!plan) {
    StartOutcome outcome;
    outcome.generation = burn(slot, generation);
    outcome.error = plan.error();
    outcome.error_number = EINVAL;
    outcome.program_at_fault = true;
    return outcome;
  }
  auto outcome = launch(slot, generation, *plan);
  if (outcome.pid == 0) limits_.ended(slot, outcome.generation);
  return outcome;
}

StartOutcome Processes::start_internal(Slot slot, base::SpawnPlan& plan) {
  return launch(slot, state_.claim(slot).generation + 1, plan);
}

// The generation is the core's: it has saved it before, so that no claim is ahead of it.
StartOutcome Processes::launch(Slot slot, Generation generation, base::SpawnPlan& plan) {
  StartOutcome outcome;
  outcome.generation = state_.bump(slot, generation);
  limits_.prepare(slot, outcome.generation, plan);
  ClaimTicket ticket = state_.ticket(slot, outcome.generation);
  std::size_t texts = 0;
  for (std::string& entry : plan.env) {  // those stand first
    for (const auto name : with_own_pid) {
      const bool has_room = entry.starts_with(name) && entry.ends_with(room_for_pid);
      if (has_room && texts < ticket.pid_texts.size()) {
        ticket.pid_texts[texts++] = entry.data() + name.size();
      }
    }
  }
  std::optional<ContainedStart> contained;
  if (is_contained(slot)) {
    auto begun = ContainedStart::begin(plan, arguments_.system.program_directory);
    if (!begun) {
      outcome.error = begun.error();
      outcome.error_number = EAGAIN;
      return outcome;
    }
    plan.pid_namespace = contained.emplace(std::move(*begun)).pid_namespace();
  }
  plan.sibling = true;
  // What starts at ordinary priority starts at nice 0, whatever `bulkhead run` was started with.
  if (const int own = ::getpriority(PRIO_PROCESS, 0); own != 0 && !plan.nice) plan.nice = own;
  plan.claim = claim_slot;
  plan.claim_argument = &ticket;
  plan.failure_sink = {state_.failure_word(slot), outcome.generation};
  base::ExecFailure failure;
  auto spawned = base::spawn(plan, &failure);
  if (!spawned) {
    outcome.error = spawned.error();
    // Nothing of the program was tried when there was no child: descriptors or memory of ours have run out.
    const bool was_tried = failure.stage != base::SpawnStage::none;
    outcome.error_number = was_tried ? failure.error_number : EAGAIN;
    outcome.program_at_fault = was_tried && !may_pass(failure.error_number);
    return outcome;
  }
  limits_.started(slot, outcome.generation, *spawned);
  if (state_.claim(slot).pid == 0) {
    // Killed before it could say whose it is, so that the keeper reaps it as nobody's: it never began.
    outcome.error = make_error(
        Errc::exec_failed, "start " + plan.executable + ": killed before its program was executed");
    outcome.error_number = EAGAIN;
    return outcome;
  }
  if (contained) contained->keep();
  outcome.pid = spawned->pid;
  living_[slot] = {outcome.generation, spawned->pid, std::move(spawned->pidfd), {}};
  return outcome;
}

bool Processes::is_contained(Slot slot) const noexcept {
  return slot < plan_.instances.size() &&
         config_.workers[plan_.instances[slot].worker_index].contain == Contain::pidns;
}

// Which CPU it runs on is all that differs from one instance to the next before it is told who it is.
Generation Processes::promote(Slot spare, Slot slot, Generation generation) {
  const InstancePlan& instance = plan_.instances[slot];
  const Affinity& wanted = config_.workers[instance.worker_index].affinity;
  if (const auto cpus = affinity(wanted, instance.index)) {
    (void)::sched_setaffinity(living_[spare].pid, sizeof *cpus,
                              &*cpus);  // dead: its exit will tell
  }
  const Generation of_spare = living_[spare].generation;
  living_[slot] = std::exchange(living_[spare], {of_spare, 0, {}, {}});
  living_[slot].generation = state_.take_over(slot, generation, living_[slot].pid);
  was_spare(slot, spare, of_spare);
  state_.end(spare, of_spare);
  return living_[slot].generation;
}

// The caller looks at the exit ring after this: without an entry there the pid was not reaped when
// its pidfd was opened, so that it is the right one.
void Processes::adopt(Slot slot, Generation generation, std::int32_t pid) {
  auto pidfd = base::open_pidfd(pid);
  living_[slot] = {generation, pid, pidfd ? std::move(*pidfd) : base::UniqueFd{}, {}};
  limits_.adopt(slot, generation, pid);
}

void Processes::recall_as_spare(Slot slot, Slot spare, Generation generation) {
  living_[slot].cookie_as_spare = cookie(spare, generation);
}

void Processes::was_spare(Slot slot, Slot spare, Generation generation) {
  recall_as_spare(slot, spare, generation);
  const Living& living = living_[slot];
  limits_.was_spare({slot, living.generation, living.pid}, spare, generation);
}

void Processes::ended(Slot slot) noexcept {
  living_[slot].pid = 0;
  living_[slot].pidfd.reset();
}

bool Processes::alive(Slot slot) const noexcept { return living_[slot].pid != 0; }
Generation Processes::generation(Slot slot) const noexcept { return living_[slot].generation; }
std::int32_t Processes::pid(Slot slot) const noexcept { return living_[slot].pid; }

std::vector<Generation> Processes::living() const {
  std::vector<Generation> generations(living_.size());
  for (Slot slot = 0; slot < living_.size(); ++slot) {
    if (alive(slot)) generations[slot] = generation(slot);
  }
  return generations;
}

bool Processes::is_living(std::int32_t pid) const noexcept {
  return std::any_of(living_.begin(), living_.end(),
                     [pid](const Living& living) { return living.pid == pid; });
}

Result<void> Processes::signal(Slot slot, int signal) {
  if (!living_[slot].pidfd.is_open()) {
    return make_error(Errc::not_found, "it has no living process");
  }
  return base::send_signal(living_[slot].pidfd.get(), signal);
}

void Processes::stop_group(Slot slot, int signal) {
  const Living& living = living_[slot];
  if (living.pid == 0) return;
  // The group's number is the leader's pid, which stays taken until the keeper has reaped it, and
  // its entry in the exit ring precedes that. A reap within this microsecond hits an empty group.
  ::kill(-living.pid, signal);
  ::kill(-living.pid, SIGCONT);
}

void Processes::kill_tree(Slot slot) {
  const Living& living = living_[slot];
  if (living.pid == 0) return;
  if (living.pidfd.is_open()) (void)base::send_signal(living.pidfd.get(), SIGKILL);
  ::kill(-living.pid, SIGKILL);
}

// Children of the keeper that are neither ours nor the brain: what a dead worker started comes to
// the keeper, the subreaper, at the moment of the worker's death. nullopt on a kernel without
// CONFIG_PROC_CHILDREN.
std::optional<std::vector<pid_t>> Processes::strangers() const {
  auto children = base::children_of(keeper_.keeper_pid());
  if (!children) return std::nullopt;
  std::set<std::int32_t> known{::getpid()};
  for (const Living& living : living_) {
    if (living.pid != 0) known.insert(living.pid);
  }
  std::erase_if(*children, [&](pid_t pid) { return known.contains(pid); });
  return children;
}

// Who is left over in state D or is not ours to kill stays; the next sweep finds it again. Killing a
// stranger brings its own children to the keeper, so it is done until nobody is found.
void Processes::sweep(Slot slot) {
  limits_.ended(slot, living_[slot].generation);
  std::vector<std::string> cookies{cookie(slot, living_[slot].generation)};
  if (!living_[slot].cookie_as_spare.empty()) cookies.push_back(living_[slot].cookie_as_spare);
  const auto deadline = Deadline::in(sweep_patience);
  for (bool found = true; found && !deadline.expired();) {
    state_.beat();  // many deaths with many children each are no reason to take us for hung
    const auto left = strangers();
    if (!left) {
      for (const auto& mark : cookies) (void)base::kill_tree({mark, 0, 0}, deadline);
      return;
    }
    found = false;
    for (const auto& mark : cookies) found |= base::kill_those_with(mark, *left, deadline) > 0;
  }
}

}  // namespace bulkhead::supervisor
