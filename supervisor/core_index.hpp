// What the core would otherwise have to count by looking at every instance: how many of each worker
// are up to each level, how many live, whose timer is next, who waits for a start token, who keeps a
// group from starting again. Derived from
// the instances alone, so it is never stored: whoever resumes makes it anew. Used by the reconciler;
// decides nothing.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

#include "supervisor/core_plan.hpp"
#include "supervisor/core_types.hpp"
#include "supervisor/due_queue.hpp"

namespace bulkhead::supervisor {

struct InstanceState;

// A fact is counted over the whole system and over each worker.
enum class Fact : std::uint8_t {
  started,      // satisfies depends_on "started"
  ready,        // satisfies depends_on "ready"
  completed,    // satisfies depends_on "completed"
  holds_up,     // its death is awaited before what it depends on is stopped
  alive,        // a process exists, or one is being made
  takes_token,  // counts against max_parallel_starts
  active,       // alive, or a timer will make it so
  given_up,     // alive, but so long after SIGKILL that nobody waits for it any more
  waiting,
  disabled,
  failed,
  leaves,        // alive, to be gone before its group starts again or has failed
  getting_up,    // starting, or waits for its turn or for others
  wants_spares,  // is meant to run, so that spares of its worker are of use
};
inline constexpr std::size_t fact_count = 14;
using Facts = std::uint16_t;
constexpr Facts bit(Fact fact) noexcept {
  return static_cast<Facts>(1U << static_cast<unsigned>(fact));
}

Facts facts_of(const InstancePlan&, const InstanceState&) noexcept;

class CoreIndex {
 public:
  void rebuild(const Plan&, const std::vector<InstanceState>&);

  // Counts the instance as it is now; returns the facts that changed.
  Facts recount(const Plan&, Slot, const InstanceState&);

  std::uint32_t count(Fact fact) const noexcept { return total_[static_cast<std::size_t>(fact)]; }
  std::uint32_t count(std::uint32_t worker, Fact fact) const noexcept {
    return workers_[worker][static_cast<std::size_t>(fact)];
  }
  // Who of those that restart with this group is not where all can start: alive still, or put off.
  std::uint32_t detained(GroupIndex group) const noexcept { return detained_[group]; }
  // The group for which the slot was last counted so; no_group: for none.
  GroupIndex detained_for(Slot slot) const noexcept { return detained_for_[slot]; }
  const DueQueue& due() const noexcept { return due_; }

  // Slots that the reconciler has yet to look at; each is listed once.
  void touch(Slot);
  bool take_touched(Slot&);

  // Every slot that may have changed since the last call of forget_visited(), perhaps more than once.
  const std::vector<Slot>& visited() const noexcept { return visited_; }
  void forget_visited() noexcept {
    visited_.clear();
    changed_groups_.clear();
  }
  void group_changed(GroupIndex group) { changed_groups_.push_back(group); }
  const std::vector<GroupIndex>& changed_groups() const noexcept { return changed_groups_; }

  // Slots that could start had they a token, first come first served.
  void queue_for_token(Slot);
  bool take_queued(Slot&);

 private:
  using Counts = std::array<std::uint32_t, fact_count>;

  Counts total_{};
  std::vector<Counts> workers_;
  std::vector<Facts> facts_;
  std::vector<std::uint32_t> detained_;
  std::vector<GroupIndex> detained_for_;
  DueQueue due_;
  std::deque<Slot> touched_, queued_;
  std::vector<Slot> visited_;
  std::vector<GroupIndex> changed_groups_;
  std::vector<bool> is_touched_, is_queued_;
};

}  // namespace bulkhead::supervisor
