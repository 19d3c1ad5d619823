// Which task is next, and which one gives way: the policies, as a table without clocks, processes or locks. Used by the
// dispatcher, under its lock. One thread.
#pragma once

#include <bulkhead/scheduling.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace bulkhead::pool {

class Schedule {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Span = std::chrono::nanoseconds;

  struct Task {
    std::uint64_t number = 0;
    std::uint32_t function = 0;
    int priority = 0;
    Span expected{0};  // 0: the mean of what its function took before
  };

  explicit Schedule(Scheduling how) noexcept;

  bool preempts() const noexcept;
  // It waits from now on. One that was here before, and lost what it had received, has its old place.
  void add(const Task&, Time now);
  void put_on(std::uint64_t number, Time now);
  void set_aside(std::uint64_t number, Time now);
  // It has ended with a result, from which its function's mean is learnt.
  void learn_from(std::uint64_t number, Time now);
  void remove(std::uint64_t number, Time now);

  enum class Among : std::uint8_t { all, set_aside };
  // Who gets the next processor; nullopt: nobody wants one.
  std::optional<std::uint64_t> next(Among, Time now);
  // Who has to leave its processor for that one; nullopt: nobody.
  std::optional<std::uint64_t> gives_way_to(std::uint64_t next, Time now) const;
  // When to ask again although nothing has happened.
  std::optional<Time> next_change(Time now) const;

  const ScheduleTrace& trace() const noexcept { return trace_; }

 private:
  enum class State : std::uint8_t { waiting, on, aside };
  // Less is sooner; equal ones in the order in which they queued.
  struct Rank {
    std::int64_t order = 0;
    std::uint64_t queued = 0;
    friend constexpr auto operator<=>(const Rank&, const Rank&) = default;
  };
  struct Job {
    Task task;
    State state = State::waiting;
    Time came{}, since{};     // here, and into this state
    std::uint64_t place = 0;  // among equals: when it came, or was set aside last
    Span received{0};         // before this turn
    Span used{0};             // of its quantum, before this turn
    int level = 0;            // of feedback
    Rank rank;                // while it is not on; it does not change meanwhile
    std::uint32_t processor = 0;
  };
  using Queue = std::map<Rank, std::uint64_t>;

  bool goes_by_time() const noexcept;
  void queue_up(Job&, State, Time now);
  void leave_queue(const Job&);
  void leave_processor(Job&, Time now);
  void lift_all(Time now);
  std::int64_t order(const Job&, Time now) const;
  Span received(const Job&, Time now) const noexcept;
  Span remaining(const Job&, Time now) const;
  Span quantum(const Job&) const noexcept;
  Span used(const Job&, Time now) const noexcept;
  std::uint32_t free_processor() const;

  const Scheduling how_;
  std::map<std::uint64_t, Job> jobs_;    // by number
  Queue waiting_, aside_;                // of those who are not on
  std::vector<std::uint64_t> on_;        // as many as there are processors
  std::map<std::uint32_t, Span> means_;  // by function
  std::uint64_t last_queued_ = 0;
  Time lifted_{};  // last
  ScheduleTrace trace_;
};

}  // namespace bulkhead::pool
