// Random events against the core, with a small model of the processes that its actions make: what
// must hold after every step whatever happens. The seed is printed with each failure.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <random>
#include <utility>

#include "tests/support/core_story.hpp"
#include "tests/support/environment.hpp"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;

// The world around the core: carries actions out on imaginary processes and checks the rules.
class World {
 public:
  World(Plan plan, std::uint64_t seed)
      : plan_(std::move(plan)), state_(initial_state(plan_, seed)), random_(seed) {
    processes_.resize(plan_.instances.size());
    saved_ = state_.instances;
    saved_groups_ = state_.groups;
  }

  void tell(const Event& event) { carry_out_all(step(plan_, state_, event, now_)); }

  // The brain dies between any two steps; what it was about to spawn exists already or never will.
  void brain_dies() {
    finished_ = false;  // whether that was heard is not known
    std::vector<Living> living(processes_.size());
    for (Slot slot = 0; slot < processes_.size(); ++slot) {
      Process& process = processes_[slot];
      process.stop_sent = false;
      if (process.spawning && random_() % 2 == 0) begin(slot);
      process.spawning = false;
      process.wanted.reset();
      if (process.alive) living[slot] = {process.generation, process.pid};
    }
    for (Slot slot = plan_.first_spare(); slot < processes_.size(); ++slot) {
      if (!processes_[slot].alive) living[slot] = {};  // it may have become an instance above
    }
    state_.index = {};
    carry_out_all(resume(plan_, state_, living, now_));
  }

  // It dies while it saves what a death changed: nothing was done about it, and a death that was not saved is
  // told again.
  void brain_dies_over(const Exited& event) {
    const State before = state_;
    (void)step(plan_, state_, event, now_);
    std::vector<Slot> order;
    for (const Slot slot : changed_slots(state_)) {
      if (slot != event.slot && std::find(order.begin(), order.end(), slot) == order.end()) {
        order.push_back(slot);
      }
    }
    order.push_back(event.slot);
    const std::size_t saved = random_() % (order.size() + 1);
    for (std::size_t i = saved; i < order.size(); ++i) {
      state_.instances[order[i]] = before.instances[order[i]];
    }
    if (random_() % 2 == 0) state_.groups = before.groups;
    saved_ = state_.instances;
    saved_groups_ = state_.groups;
    const bool untold = processes_[event.slot].untold = saved < order.size();
    brain_dies();
    processes_[event.slot].untold = processes_[event.slot].stop_sent = false;
    if (untold) tell(event);
  }

  void carry_out_all(const std::vector<Action>& actions) {
    ASSERT_LE(actions.size(), 8 * plan_.instances.size() + 8);
    for (const Action& action : actions) {
      log_.push_back(bulkhead::test::to_line(plan_, action));
      std::visit([this](const auto& what) { carry_out(what); }, action);
    }
    check();
  }

  void random_event() {
    const auto slot = static_cast<Slot>(random_() % plan_.instances.size());
    Process& process = processes_[slot];
    const auto generation =
        static_cast<Generation>(random_() % 8 == 0 ? process.generation - 1 : process.generation);
    switch (random_() % 16) {
      case 0: return tell(WantUp{slot});
      case 1: return tell(WantDown{slot});
      case 2: return tell(WantRestart{slot});
      case 3:
        if (random_() % 3 == 0) return ask_for_time(slot, generation);
        return random_() % 2 == 0 ? tell(WatchdogExpired{slot, generation})
                                  : tell(LeaseExpired{slot, generation});
      case 4:
      case 5:
      case 6: return tell(BecameReady{slot, generation});
      case 7:
      case 8:
        return random_() % 4 == 0 ? brain_dies()
                                  : pass(std::chrono::milliseconds(random_() % 3000));
      default: return advance(slot);
    }
  }

  // What the world does by itself with this slot's process: make it or let it die.
  void advance(Slot slot) {
    Process& process = processes_[slot];
    if (process.spawning) {
      process.spawning = false;
      if (process.wanted) {
        const Promote wanted = *process.wanted;
        if (begin(slot)) {
          return tell(Promoted{slot, process.generation, process.pid, wanted.spare,
                               wanted.spare_generation});
        }
        return tell(Started{slot, process.generation, process.pid});
      }
      if (random_() % 20 == 0) return tell(ExecFailed{slot, process.generation, 2});
      begin(slot);
      return tell(Started{slot, process.generation, process.pid});
    }
    if (process.alive && random_() % 3 == 0) die(slot);
  }

  // The process exists: made anew, or, where that was wanted and is possible, made of a spare's. Returns whether.
  bool begin(Slot slot) {
    Process& process = processes_[slot];
    process.alive = true;
    process.spawning = false;
    process.pid = next_pid_++;
    const auto wanted = std::exchange(process.wanted, std::nullopt);
    if (!wanted) return false;
    Process& spare = processes_[wanted->spare];
    if (!spare.alive || spare.generation != wanted->spare_generation) return false;
    EXPECT_FALSE(spare.stop_sent) << "promoted on its way out";
    process.pid = std::exchange(spare.pid, 0);
    spare.alive = false;
    return true;
  }

  void ask_for_time(Slot slot, Generation generation) {
    Process& process = processes_[slot];
    const MoreTime event{slot, generation, now_ + random_() % 5'000'000'000};
    if (process.kill_due && generation == process.generation) {
      process.patience_ends = std::max(process.patience_ends, event.until);
    }
    tell(event);
  }

  void die(Slot slot) {
    Process& process = processes_[slot];
    process.alive = process.kill_due = false;
    process.stop_sent = false;
    process.unswept = true;
    constexpr int codes[] = {0, 0, 1, 3, 78};
    const bool by_signal = random_() % 2 == 0;
    const auto by = random_() % 4 == 0 ? ExitKind::oom : ExitKind::signal;
    const Exited event{slot, process.generation, by_signal ? by : ExitKind::exit,
                       by_signal ? 9 : codes[random_() % 5]};
    if (random_() % 8 == 0) return brain_dies_over(event);
    tell(event);
  }

  void pass(std::chrono::milliseconds time) {
    const TimeNs end = now_ + static_cast<TimeNs>(std::chrono::nanoseconds(time).count());
    std::size_t ticks_now = 0;
    while (next_due(state_) <= end) {
      ticks_now = next_due(state_) > now_ ? 0 : ticks_now + 1;
      ASSERT_LE(ticks_now, plan_.instances.size()) << "a timer that fires for ever";
      now_ = std::max(now_, next_due(state_));
      tell(Tick{});
    }
    now_ = end;
  }

  void end() {
    tell(Shutdown{random_() % 2 == 0});
    for (int round = 0; round < 10'000 && !finished_; ++round) {
      advance(static_cast<Slot>(static_cast<std::size_t>(round) % plan_.instances.size()));
      if (round % 7 == 0) pass(100ms);
    }
    EXPECT_TRUE(finished_);
    for (Slot slot = 0; slot < processes_.size(); ++slot) expect_gone(slot);
  }

  const std::vector<std::string>& log() const { return log_; }

 private:
  struct Process {
    Generation generation = 0;
    bool spawning = false, alive = false, unswept = false, stop_sent = false, kill_due = false;
    bool untold = false;  // dead, and the core does not know
    TimeNs patience_ends = 0;
    std::int32_t pid = 0;
    std::optional<Promote> wanted;  // while it is spawning: out of a spare
  };

  void carry_out(const Promote& action) {
    EXPECT_TRUE(plan_.instances[action.spare].is_spare);
    EXPECT_FALSE(plan_.instances[action.slot].is_spare);
    EXPECT_TRUE(processes_[action.spare].alive || processes_[action.spare].untold);
    for (const Process& other : processes_) {
      EXPECT_FALSE(other.wanted && other.wanted->spare == action.spare) << "promised twice";
    }
    carry_out(Spawn{action.slot, action.generation});
    processes_[action.slot].wanted = action;
  }

  void carry_out(const Spawn& action) {
    Process& process = processes_[action.slot];
    EXPECT_FALSE(process.alive || process.spawning) << "two processes in one slot";
    EXPECT_FALSE(process.unswept) << "spawned over what its predecessor left behind";
    EXPECT_FALSE(state_.stopping) << "spawned on the way down";
    EXPECT_GT(action.generation, process.generation);
    process.spawning = true;
    process.wanted.reset();
    process.generation = action.generation;
  }
  void carry_out(const SendStop& action) {
    Process& process = processes_[action.slot];
    EXPECT_TRUE(process.alive || process.untold) << "asked nobody to stop";
    EXPECT_FALSE(process.stop_sent) << "asked twice";
    process.stop_sent = true;
    const TimeNs ends =
        now_ + static_cast<TimeNs>(plan_.instances[action.slot].stop.timeout.count());
    // A new brain asks again, and the time that the worker was given before still holds.
    process.patience_ends = process.kill_due ? std::max(process.patience_ends, ends) : ends;
    process.kill_due = process.alive;
  }
  void carry_out(const KillTree& action) {
    EXPECT_TRUE(processes_[action.slot].alive || processes_[action.slot].untold) << "killed nobody";
    processes_[action.slot].kill_due = false;
  }
  void carry_out(const SweepTree& action) {
    EXPECT_FALSE(processes_[action.slot].alive);
    processes_[action.slot].unswept = false;
  }
  void carry_out(const Announce& action) { EXPECT_LT(action.slot, processes_.size()); }
  void carry_out(const Finished&) {
    EXPECT_FALSE(finished_) << "finished twice";
    finished_ = true;
    for (Slot slot = 0; slot < processes_.size(); ++slot) expect_gone(slot);
  }

  // Only what SIGKILL has not ended in half a minute may be left.
  void expect_gone(Slot slot) const {
    const Process& process = processes_[slot];
    const InstanceState& instance = state_.instances[slot];
    EXPECT_FALSE(process.spawning || (process.unswept && !process.untold));
    EXPECT_TRUE(!process.alive ||
                (instance.status == InstanceStatus::unkillable && instance.due == time_never));
  }

  // Whoever saves only what the core names saves everything.
  void check_changed() {
    for (const Slot slot : changed_slots(state_)) saved_[slot] = state_.instances[slot];
    for (Slot slot = 0; slot < saved_.size(); ++slot) {
      EXPECT_EQ(std::memcmp(&saved_[slot], &state_.instances[slot], sizeof(InstanceState)), 0)
          << plan_.instances[slot].name << " changed in silence";
    }
    for (const GroupIndex group : changed_groups(state_))
      saved_groups_[group] = state_.groups[group];
    for (GroupIndex group = 0; group < saved_groups_.size(); ++group) {
      EXPECT_EQ(std::memcmp(&saved_groups_[group], &state_.groups[group], sizeof(GroupState)), 0)
          << plan_.groups[group].name << " changed in silence";
    }
  }

  void check() {
    check_changed();
    std::uint32_t starting = 0;
    for (Slot slot = 0; slot < processes_.size(); ++slot) {
      const Process& process = processes_[slot];
      const InstanceState& instance = state_.instances[slot];
      EXPECT_EQ(instance.pid != 0, process.alive || process.untold) << plan_.instances[slot].name;
      EXPECT_FALSE(process.kill_due && now_ > process.patience_ends) << "a stop without its kill";
      EXPECT_FALSE(process.alive && instance.desired == Desired::down &&
                   (instance.status == InstanceStatus::ready ||
                    instance.status == InstanceStatus::starting));
      if (instance.status == InstanceStatus::starting && !instance.recovering) ++starting;
      EXPECT_FALSE(reason(plan_, state_, slot, now_).empty());
    }
    EXPECT_LE(starting, plan_.max_parallel_starts);
    check_index();
  }

  // The counts that the core keeps up to date are those of a count from scratch.
  void check_index() {
    CoreIndex fresh;
    fresh.rebuild(plan_, state_.instances);
    for (std::size_t fact = 0; fact < fact_count; ++fact) {
      EXPECT_EQ(state_.index.count(Fact(fact)), fresh.count(Fact(fact))) << "fact " << fact;
    }
    EXPECT_EQ(next_due(state_), fresh.due().next_due());
    for (GroupIndex group = 0; group < plan_.groups.size(); ++group) {
      EXPECT_EQ(state_.index.detained(group), fresh.detained(group)) << plan_.groups[group].name;
    }
    for (Slot slot = 0; slot < processes_.size(); ++slot) check_held(slot);
  }

  // Who is held by its group waits for somebody, or has yet to stop.
  void check_held(Slot slot) const {
    const InstanceState& instance = state_.instances[slot];
    if (instance.with_group != WithGroup::restart || instance.status != InstanceStatus::waiting)
      return;
    EXPECT_NE(state_.index.detained(instance.held_by), 0U)
        << plan_.instances[slot].name << " is held by nobody";
  }

  Plan plan_;
  State state_;
  std::mt19937_64 random_;
  TimeNs now_ = 1'000'000'000;
  std::vector<Process> processes_;
  std::vector<InstanceState> saved_;
  std::vector<GroupState> saved_groups_;
  std::vector<std::string> log_;
  std::int32_t next_pid_ = 1000;
  bool finished_ = false;
};

WorkerConfig random_worker(const std::string& name, std::mt19937_64& random) {
  WorkerConfig config = bulkhead::test::worker(name, static_cast<std::uint32_t>(1 + random() % 3));
  config.kind = random() % 4 == 0 ? WorkerKind::oneshot : WorkerKind::service;
  if (random() % 6 == 0) {
    config.kind = WorkerKind::scheduled;
    config.every = 1500ms;
  }
  if (random() % 8 == 0) config.significant = static_cast<Significant>(random() % 3);
  config.ready.type = random() % 2 == 0 ? ReadyType::exec : ReadyType::notify;
  config.ready.timeout = 3s;
  config.restart.policy = static_cast<RestartPolicy>(random() % 3);
  config.restart.backoff = {.initial = std::chrono::milliseconds(random() % 3 * 100),
                            .max = 2s,
                            .factor = 2,
                            .jitter = 0.2,
                            .reset_after = 1s};
  config.restart.limit->count = static_cast<std::uint32_t>(random() % 5);
  config.restart.limit->then = random() % 8 == 0 ? LimitThen::exit : LimitThen(random() % 2);
  if (random() % 4 == 0) config.restart.limit.reset();
  if (random() % 3 == 0) config.warm_spares = static_cast<std::uint32_t>(1 + random() % 2);
  config.stop.timeout = std::chrono::milliseconds(random() % 3 * 500);
  return config;
}

// Each group takes some of the workers, and of the groups before it, that no group has.
void add_random_groups(SystemConfig& config, std::mt19937_64& random) {
  std::vector<std::string> free;
  for (const WorkerConfig& worker : config.workers) free.push_back(worker.name);
  for (std::size_t index = random() % 4; index > 0 && !free.empty(); --index) {
    GroupConfig group;
    group.name = "g" + std::to_string(index);
    group.strategy = static_cast<GroupStrategy>(random() % 3);
    for (std::size_t members = 1 + random() % 3; members > 0 && !free.empty(); --members) {
      const auto taken = free.begin() + static_cast<std::ptrdiff_t>(random() % free.size());
      group.members.push_back(*taken);
      free.erase(taken);
    }
    group.limit->count = static_cast<std::uint32_t>(random() % 5);
    group.limit->then = random() % 8 == 0 ? LimitThen::exit : LimitThen(random() % 3);
    if (random() % 4 == 0) group.limit.reset();
    free.push_back(group.name);
    config.groups.push_back(std::move(group));
  }
}

Plan random_plan(std::mt19937_64& random) {
  SystemConfig config;
  const std::size_t workers = 1 + random() % 5;
  for (std::size_t index = 0; index < workers; ++index) {
    WorkerConfig worker = random_worker("w" + std::to_string(index), random);
    for (std::size_t other = 0; other < index; ++other) {
      if (random() % 3 != 0) continue;
      worker.depends_on["w" + std::to_string(other)] = static_cast<DependsOn>(random() % 3);
    }
    config.workers.push_back(std::move(worker));
  }
  add_random_groups(config, random);
  config.max_parallel_starts = static_cast<std::uint32_t>(1 + random() % 3);
  return make_plan(config);
}

std::vector<std::string> live_through(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  World world(random_plan(random), seed);
  world.tell(Tick{});
  for (int event = 0; event < 300; ++event) world.random_event();
  world.end();
  return world.log();
}

TEST(CoreProperty, holds_its_rules_through_any_sequence_of_events) {
  const std::uint64_t first = test::chosen_seed();
  for (std::uint64_t seed = first; seed < first + 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    live_through(seed);
    if (HasFailure()) return;
  }
}

TEST(CoreProperty, decides_the_same_again_from_the_same_seed) {
  const std::uint64_t seed = test::chosen_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  EXPECT_EQ(live_through(seed), live_through(seed));
}

// A death among thousands must not make the core look at the others: the time is not asserted, the
// actions are, and the suite's time limit is the guard.
TEST(CoreProperty, handles_the_largest_system) {
  WorkerConfig echo = bulkhead::test::worker("echo", 4096);
  echo.depends_on["store"] = DependsOn::ready;
  echo.ready.type = ReadyType::exec;
  echo.restart.backoff.initial = 0ms;
  echo.restart.limit.reset();
  bulkhead::test::CoreStory story({bulkhead::test::worker("store", 4096), echo}, 8192);
  EXPECT_EQ(story.begin().size(), 4096U);
  for (Slot slot = 0; slot < 4096; ++slot) story.bring_up(slot);
  for (Slot slot = 4096; slot < 8192; ++slot) story.started(slot);
  EXPECT_EQ(story.state.index.count(Fact::ready), 8192U);
  for (Slot round = 0; round < 20'000; ++round) {
    const Slot slot = 4096 + round % 4096;
    ASSERT_EQ(story.is_killed(slot).size(), 2U);
    story.started(slot);
  }
  EXPECT_EQ(story.tell(Shutdown{false}).size(), 4096U);
}

}  // namespace
}  // namespace bulkhead::supervisor
