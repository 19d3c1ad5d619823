// The supervision core in virtual time, with imaginary processes that do what a script says: what the
// supervisor would decide, without a process or a second of waiting. Used by the command `simulate`.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "supervisor/core.hpp"
#include "supervisor/rollout.hpp"
#include "supervisor/simulation_script.hpp"

namespace bulkhead::supervisor {

// One line of the timeline: what the supervisor announces, or what the script made happen.
struct SimulatedEvent {
  TimeNs at = 0;  // from the start of the system
  std::string
      type;  // "worker.ready", as in the event stream; "script", "script.idle" (it met nobody)
  Slot slot = no_slot;
  Generation generation = 0;
  std::int32_t pid = 0;
  ExitCause cause;
  TimeNs until = 0;  // worker.backoff
  std::string text;  // the script's words; why, for the supervisor's own
  static constexpr Slot no_slot = ~Slot{0};
};

// A start takes 1 ms, becoming ready 5 ms more, ending when asked to 10 ms, dying of SIGKILL 1 ms; a run of a
// oneshot or scheduled worker what the script says, else 1 s.
class Simulation {
 public:
  using Tell = std::function<void(const SimulatedEvent&)>;

  Simulation(const SystemConfig&, const Plan&, const Script&, std::uint64_t seed, Tell);

  // Until `length` has passed, the system is over, or nothing would happen any more.
  void run(Duration length);

  const State& state() const noexcept { return state_; }
  TimeNs elapsed() const noexcept { return now_ - began; }
  std::string reason(Slot slot) const { return supervisor::reason(plan_, state_, slot, now_); }

 private:
  static constexpr TimeNs began = 1'000'000'000;  // a clock that shows 0 looks like one never read

  struct Process {
    Generation generation = 0;
    std::int32_t pid = 0;  // 0: none
    bool hangs = false;
  };

  void later(Duration, std::function<void()>);
  void apply(const Event&);
  void restart(const std::vector<Slot>&);
  void roll();
  void carry_out(const Promote&);
  void carry_out(const Spawn&);
  void carry_out(const SendStop&);
  void carry_out(const KillTree&);
  void carry_out(const SweepTree&) {}
  void carry_out(const Announce&);
  void carry_out(const Finished&);
  void step_in(const Promote&);
  void born(Slot, Generation);
  void begin(Slot, Generation);
  void dies(Slot, Generation, ExitKind, int code);
  void perform(const ScriptAct&);
  void perform(const ScriptAct&, Slot);
  void strike(const ScriptAct&, Duration at);
  void tell_script(const ScriptAct&, Slot, std::string_view type, const std::string& more);
  bool is(Slot, Generation) const noexcept;

  const SystemConfig& config_;
  const Plan& plan_;
  const Script& script_;
  Tell tell_;
  State state_;
  TimeNs now_ = began;
  std::multimap<TimeNs, std::function<void()>> agenda_;
  std::vector<Process> processes_;
  std::int32_t next_pid_ = 100;
  Rollout rollout_;
  bool is_rolling_ = false;
  bool finished_ = false;
};

}  // namespace bulkhead::supervisor
