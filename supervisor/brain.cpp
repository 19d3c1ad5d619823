#include "supervisor/brain.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <csignal>
#include <thread>

#include "base/clock.hpp"
#include "supervisor/operator_line.hpp"

namespace bulkhead::supervisor {
namespace {

constexpr std::chrono::milliseconds pulse_period{500};  // a quarter of the keeper's patience
constexpr std::chrono::milliseconds farewell_patience{1000};
constexpr std::chrono::milliseconds look_again{5};
constexpr std::chrono::milliseconds exits_at_most{5};  // are read in one piece

std::chrono::steady_clock::time_point at(TimeNs when) {
  return std::chrono::steady_clock::time_point(
      std::chrono::nanoseconds(static_cast<std::int64_t>(std::min<TimeNs>(when, INT64_MAX))));
}

}  // namespace

Brain::~Brain() = default;

int Brain::run() {
  take_over();
  await_bell();
  await_pulse();
  on_bell();  // what came before we listened
  end_former_spares();
  limits_.collect(processes_.living());
  begin_rollout();
  roll();
  io_.run();
  if (finished_) {
    remove_cgroups();
    (void)keeper_.stop(exit_code_);
  }
  return handing_over_ && !finished_ ? keeper_layout::exit_handover : exit_code_;
}

// A claim {generation, pid} names a process whose end nobody has carried out yet. The exit ring is
// read after this, in on_bell(): who died meanwhile is told of then.
std::vector<Living> Brain::find_living() {
  std::vector<Living> living(plan_.instances.size());
  for (Slot slot = 0; slot < state_layout::slot_count; ++slot) {
    if (slot >= living.size() && slot < first_internal_slot) continue;
    const Claim claim = state_.settle(slot);
    const auto former = former_self(slot);
    if (claim.pid <= 0) {
      if (slot >= living.size()) continue;
      processes_.recall(slot, claim.generation);
      if (former) processes_.recall_as_spare(slot, former->spare, former->generation);
      continue;
    }
    if (is_instance(slot, claim, living)) {
      state_.end(slot, claim.generation);
      continue;
    }
    if (slot < living.size()) living[slot] = {claim.generation, claim.pid};
    processes_.adopt(slot, claim.generation, claim.pid);
    if (former) processes_.was_spare(slot, former->spare, former->generation);
  }
  return living;
}

void Brain::take_over() {
  const TimeNs began = base::monotonic_ns();
  const bool fresh = !state_.load_system().has_value();
  settle_in(configs_.running());
  find_former_spares();
  const auto living = find_living();
  find_outdated_spares(living);
  introducer_.restore();
  desk_.restore();
  if (!fresh) {
    for (Slot slot = 0; slot < living.size(); ++slot) {
      if (living[slot].pid == 0) continue;
      desk_.adopt(slot);
      plain_.adopt(slot);
    }
  }
  begin_internals();
  if (record_.stopping != 0) stop_requests_seen_ = std::min(keeper_.stop_requests(), 1U);
  supervision_.begin(living, fresh, began);
  renew_outdated_spares();
  incidents_.restore(supervision_.state().instances);
  for (Slot slot = 0; slot < living.size(); ++slot) {
    const auto& instance = supervision_.instance(slot);
    if (living[slot].pid != 0 && instance.status == InstanceStatus::ready)
      plain_.became_ready(slot);
    const bool starts = living[slot].pid != 0 && instance.status == InstanceStatus::starting;
    if (!starts || plan_.instances[slot].is_spare) continue;
    const auto& ready = config_.workers[plan_.instances[slot].worker_index].ready;
    if (ready.type == ReadyType::port) probes_.begin(slot, living[slot].generation, ready.port);
  }
  state_.set_taken_over(keeper_.brain_generation());
  tell_of_takeover(began);
}

void Brain::begin_internals() {
  for (auto* internal : internals_) internal->begin();
  if (!config_.http) dismiss_web();
}

void Brain::await_bell() {
  bell_.async_wait(bell_.wait_read, [this](const auto& error) {
    if (error) return;
    if (!keeper_.drain_bell()) return io_.stop();  // the keeper is gone, and we follow it
    on_bell();
    await_bell();
  });
}

// Workers that die as fast as they are started ring for ever: everybody else has a turn in between.
void Brain::on_bell() {
  const std::uint32_t requests = keeper_.stop_requests();
  while (stop_requests_seen_ < requests) {
    supervision_.apply(Shutdown{stop_requests_seen_ > 0});
    ++stop_requests_seen_;
  }
  const auto slice = Deadline::in(exits_at_most);
  std::optional<ExitEntry> entry;
  while (!slice.expired() && (entry = keeper_.next_exit())) on_exit(*entry);
  keeper_.acknowledge();
  if (!entry || std::exchange(reads_on_, true)) return;
  boost::asio::post(io_, [this] {
    reads_on_ = false;
    on_bell();
  });
}

void Brain::on_exit(const ExitEntry& entry) {
  const auto known = state_.slot_at(entry.slot);
  if (!known) return state_.end_at(entry.slot, entry.generation);  // of an earlier config
  const Slot slot = *known;
  if (slot < plan_.instances.size() && plan_.instances[slot].is_spare) {
    return on_spare_exit(slot, entry);
  }
  if (processes_.generation(slot) == entry.generation) processes_.ended(slot);
  state_.end(slot, entry.generation);
  if (slot >= first_internal_slot) return on_internal_exit(slot);
  // An entry may be read twice, by us and by a brain before us; only the living incarnation dies.
  const InstanceState& instance = supervision_.instance(slot);
  if (instance.generation != entry.generation || instance.pid == 0) return;
  desk_.died(slot);
  plain_.died(slot, entry.pid);
  introducer_.died(slot);
  sessions_.died(slot);
  probes_.cancel(slot);
  hangs_.cancel(slot);
  if (const auto failure = state_.exec_failure(slot, entry.generation)) {
    incidents_.failed_to_start(slot, entry.generation, failure->error_number);
    return supervision_.apply(ExecFailed{slot, entry.generation, failure->error_number});
  }
  ExitEntry by_slot = entry;
  by_slot.slot = slot;
  const bool by_sigkill = entry.code != CLD_EXITED && entry.status == SIGKILL;
  const auto memory = limits_.death(slot, entry.generation, by_sigkill);
  const ExitKind kind = incidents_.died(by_slot, instance, supervision_.state().stopping, memory);
  supervision_.apply(Exited{slot, entry.generation, kind, entry.status});
  incidents_.ask_for_logs();  // not before the successor is on its way
}

void Brain::on_internal_exit(Slot slot) {
  for (auto* internal : internals_) {
    if (internal->slot() == slot) internal->died();
  }
  if (finished_) leave_when_done();
}

void Brain::spawn(Slot slot, Generation generation) {
  state_.beat();  // many of these in a row take a while, and are no silence
  const InstancePlan& plan = plan_.instances[slot];
  const WorkerConfig& config = config_.workers[plan.worker_index];
  const auto output = logs_.output(slot, logger_.port());
  auto control = config.runtime ? desk_.open_port(slot) : Result<base::UniqueFd>(base::UniqueFd{});
  const auto plain = config.runtime ? Result<PlainStart>(PlainStart{}) : plain_.prepare(slot);
  StartOutcome outcome;
  if (!output || !control || !plain) {
    outcome.generation = processes_.burn(slot, generation);
    outcome.error = !output ? output.error() : !control ? control.error() : plain.error();
    outcome.error_number = outcome.error->code.value();
  } else {
    outcome = processes_.start(slot, generation,
                               {control->get(), *output, sockets_.of(config, config_),
                                config.runtime ? nullptr : &*plain, desk_.has_spoken(slot)});
  }
  if (outcome.pid != 0) {
    supervision_.apply(Started{slot, outcome.generation, outcome.pid});
    if (config.ready.type == ReadyType::port && !plan.is_spare) {
      probes_.begin(slot, outcome.generation, config.ready.port);
    }
    return;
  }
  failed_to_start(slot, outcome);
}

void Brain::failed_to_start(Slot slot, const StartOutcome& outcome) {
  const InstancePlan& plan = plan_.instances[slot];
  tell_operator(plan.name + ": " + outcome.error->to_string());
  if (!plan.is_spare) {
    incidents_.failed_to_start(slot, outcome.generation, outcome.error_number);
  }
  if (outcome.program_at_fault) {
    supervision_.apply(ExecFailed{slot, outcome.generation, outcome.error_number});
  } else {
    supervision_.apply(
        Exited{slot, outcome.generation, ExitKind::exec_failed, outcome.error_number});
  }
}

void Brain::changed() {
  sessions_.retry(base::monotonic_ns());
  roll();
  api_.changed();
  voice_.changed();
  arm_timer();
}

void Brain::arm_timer() {
  const TimeNs due =
      std::min({next_due(supervision_.state()), sessions_.next_due(), desk_.beats().next_look(),
                plain_.next_look(), introducer_.leases().next_look(base::monotonic_ns())});
  if (due == time_never) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(at(due));
  timer_.async_wait([this](const auto& error) {
    if (!error) on_timer();
  });
}

void Brain::on_timer() {
  const TimeNs now = base::monotonic_ns();
  for (const auto& overdue : desk_.beats().look(now)) on_silence(overdue);
  plain_.look(now);
  for (const auto& overdue : introducer_.leases().look(now)) on_long_lease(overdue);
  supervision_.apply(Tick{});
}

// The beat that the keeper watches, and what may be done at leisure.
void Brain::await_pulse() {
  state_.beat();
  introducer_.collect();
  letters_.look();
  limits_.look(processes_.living());
  if (limits_.has_leftovers()) limits_.collect(processes_.living());
  arm_timer();  // whoever said hello since may be watched from now on
  pulse_.expires_after(pulse_period);
  pulse_.async_wait([this](const auto& error) {
    if (!error) await_pulse();
  });
}

// The kernel lets go of a cgroup a moment after the last of its processes has been reaped, and tells nobody when (v1).
void Brain::remove_cgroups() {
  const auto deadline = Deadline::in(farewell_patience);
  while (!limits_.remove_all() && !deadline.expired()) {
    state_.beat();
    std::this_thread::sleep_for(look_again);
  }
}

// Nothing is left that could run. The logger gets a moment to write what lies in the pipes, the
// viewer to print the last events.
void Brain::finished(int exit_code) {
  if (std::exchange(finished_, true)) return;
  exit_code_ = exit_code;
  const auto failed = name_failed(plan_, supervision_, base::monotonic_ns());
  if (exit_code != 0 && !failed.empty()) tell_operator("failed: " + failed);
  api_.finished();
  sockets_.keep_only({});  // their files, too
  viewer_.retire(SIGTERM);
  web_.retire(SIGKILL);  // it holds a duplicate
  if (auto* port = logger_.port()) {
    port->send(ipc::request(log_flush_id, "log.flush", ipc::Json::object()));
  } else {
    flushed_ = true;
  }
  farewell_.expires_after(farewell_patience);
  farewell_.async_wait([this](const auto& error) {
    if (!error) io_.stop();
  });
  leave_when_done();
}

// Who started a system in the background asks how that went, and its workers may be faster than the
// question.
void Brain::leave_when_done() {
  const bool is_awaited =
      arguments_.system.detached && stop_requests_seen_ == 0 && !api_.start_is_over();
  if ((flushed_ || !logger_.alive()) && !viewer_.alive() && !is_awaited) io_.stop();
}

}  // namespace bulkhead::supervisor
