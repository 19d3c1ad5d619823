// One step of the core: applies an event to the actual or the desired state, then brings the two
// together instance by instance until nothing is left to be done. Made by step() and resume() for one
// call; nobody else needs it. Split over core_events.cpp (what an event changes), core_failure.cpp
// (what follows a death), core_groups.cpp (whom it takes along), core_spares.cpp (who waits to step in) and core_reconcile.cpp (starting,
// stopping, the end).
#pragma once

#include <chrono>
#include <vector>

#include "supervisor/core.hpp"

namespace bulkhead::supervisor {

// From SIGKILL until we say that it does not work, and from there until a shutdown waits no longer.
inline constexpr TimeNs kill_patience = 2'000'000'000;
inline constexpr TimeNs unkillable_patience = 28'000'000'000;
inline constexpr int exit_code_configuration = 78;  // EX_CONFIG of sysexits.h

class Reconciler {
 public:
  Reconciler(const Plan& plan, State& state, TimeNs now) noexcept
      : plan_(plan), state_(state), now_(now) {}

  void on(const Tick&);
  void on(const Started&);
  void on(const Promoted&);
  void on(const ExecFailed&);
  void on(const BecameReady&);
  void on(const Exited&);
  void on(const WatchdogExpired&);
  void on(const LeaseExpired&);
  void on(const MoreTime&);
  void on(const WantUp&);
  void on(const WantDown&);
  void on(const WantRestart&);
  void on(const Shutdown&);

  void resume(Slot, const Living&);
  void resume_spare(Slot, const Living&);
  std::vector<Action> reconcile() &&;

 private:
  // core_events.cpp
  void timer_fired(Slot);
  bool is_news_of_start(Slot, Generation) const noexcept;
  bool is_news_of_end(Slot, Generation) const noexcept;
  void adopt(Slot, Generation, std::int32_t pid);
  void became_ready(Slot);

  // core_failure.cpp
  void process_gone(Slot, ExitCause);
  void exec_failed(Slot, std::int32_t error_number);
  void died_on_its_own(Slot);
  void fail(Slot);
  void limit_reached(Slot, LimitThen);
  void come_back(Slot);
  void probe_later(Slot, GroupIndex over_limit_of);
  void end_system(int exit_code);
  void is_done(Slot);
  void run_is_over(Slot);
  void end_with(Slot);
  void forget_failures_if_settled(Slot);
  void trust_again(Slot);
  TimeNs next_delay(Slot);
  double random_unit() noexcept;

  // core_groups.cpp
  // What has died, seen from `group`: a member, which is a worker's instance or, with all of its workers, a
  // group that failed. Its workers stand at [first, last] in the group's order.
  struct Casualty {
    GroupIndex group = no_group;
    std::size_t first = 0, last = 0;
    GroupIndex failed = no_group;
  };
  Casualty casualty(Slot) const noexcept;
  Casualty casualty_of(GroupIndex failed) const noexcept;
  void died_in_group(Slot);
  void group_over_limit(Slot, Casualty);
  void take_along(Slot, const Casualty&);
  void fail_group(Slot, GroupIndex);
  bool hold(Slot, GroupIndex);
  bool waits_for_group(Slot);
  void fail_with_group(Slot, GroupIndex);
  bool may_stop_with_group(Slot) const noexcept;
  void release(GroupIndex);
  void detained_no_more(GroupIndex);
  void left(GroupIndex, std::uint32_t worker);
  bool group_admits(GroupIndex) const noexcept;
  void record_in_group(GroupIndex);
  void forget_failures_of_group(GroupIndex);

  // core_spares.cpp
  void reconcile_spare(Slot);
  void reconcile_living_spare(Slot, bool wanted);
  void spare_gone(Slot, ExitCause);
  bool promote_spare(Slot);
  void release_promise(Slot);
  void renew_spares(Slot);
  void renew_spare(Slot);
  bool only_spares_are_left() const noexcept;
  void touch_spares(std::uint32_t worker);
  bool is_spare(Slot slot) const noexcept { return plan_.instances[slot].is_spare; }

  // core_reconcile.cpp
  void reconcile_touched();
  void reconcile_slot(Slot);
  void reconcile_process(Slot);
  bool needs_met(Slot) const noexcept;
  bool may_stop_now(Slot) const noexcept;
  void try_start(Slot);
  void plan_next_run(Slot) noexcept;
  void spawn(Slot);
  void begin_stop(Slot);
  void kill(Slot, KilledFor);
  void begin_shutdown(bool immediately);
  void forgive(Slot);
  void say_finished_if_so();

  void set_status(Slot, InstanceStatus, TimeNs due = time_never);
  void recount(Slot);
  void touch_worker(std::uint32_t worker);
  void announce(Announce::Type, Slot, TimeNs until = 0);
  InstanceState& at(Slot slot) noexcept { return state_.instances[slot]; }
  const InstanceState& at(Slot slot) const noexcept { return state_.instances[slot]; }

  const Plan& plan_;
  State& state_;
  const TimeNs now_;
  std::vector<Action> actions_;
};

}  // namespace bulkhead::supervisor
