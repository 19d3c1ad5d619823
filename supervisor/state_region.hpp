// The brain's typed access to the state memory (state_layout.hpp). Every call may be the last one
// before a SIGKILL; each comment says what the successor then finds. Knows nothing of processes.
#pragma once

#include <array>
#include <bulkhead/error.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "base/fd.hpp"
#include "base/mapped_region.hpp"
#include "base/spawn_script.hpp"
#include "supervisor/core.hpp"
#include "supervisor/state_layout.hpp"

namespace bulkhead::supervisor {

using state_layout::EventRecord;
using state_layout::SystemRecord;

inline constexpr Slot first_internal_slot = state_layout::worker_slots;

struct Claim {
  Generation generation = 0;  // 0: the slot was never started
  std::int32_t pid = 0;       // 0: intended, but no process has claimed it; -1: has ended
  bool operator==(const Claim&) const = default;
};

// What the claim hook of a start needs: must outlive spawn().
struct ClaimTicket {
  std::atomic<std::uint64_t>* word;
  Generation generation;
  // Where the digits of the process's pid, as it sees itself, are to stand in the environment that it is given: nobody
  // knows them earlier. Room for 11 characters each; null: nowhere.
  std::array<char*, 2> pid_texts{};
};
// For SpawnPlan::claim with a ClaimTicket*: {generation, 0} -> {generation, own pid}.
bool claim_slot(void* ticket, pid_t pid) noexcept;

// Threads: one writer, the brain; read_event may run in any process that maps the memory.
class StateRegion {
 public:
  static Result<base::UniqueFd> create();  // a fresh, sealed memory file; by `bulkhead run`
  // Takes the descriptor by duplication: `fd` stays the caller's. Errors: version_mismatch.
  static Result<StateRegion> map(int fd);

  // --- places: where each slot of the plan has its claim, failure word and record; by position when
  // this is never called. Internal slots have places of their own. ---
  void set_seats(std::vector<Slot> by_slot);
  Slot seat(Slot) const noexcept;
  std::optional<Slot> slot_at(Slot seat) const noexcept;  // nullopt: nobody's in this plan
  // Nobody has it in the config in force: whoever gets it begins afresh, its generations go on.
  void clear_seat(Slot seat) noexcept;

  // --- claims: slot < state_layout::slot_count ---
  Claim claim(Slot) const noexcept;
  // As claim(), for a brain that begins: {g, 0} -> {g, ended}. A vfork child of a killed predecessor may be
  // on its way still; either it has claimed the slot before this, or it never will.
  Claim settle(Slot) noexcept;
  // {g, *} -> {g+1, 0}, or to `at_least` where that is more; returns the new generation. Killed after it: a new brain bumps again, and a child that had
  // not claimed yet loses. Never call it while {g, pid} may live, or its exit will have no slot.
  Generation bump(Slot, Generation at_least = 0) noexcept;
  // {g, pid} -> {g, ended}: the exit of g is being carried out, and nobody may take pid for it any
  // more. Killed after it: the exit entry is still there, and the successor carries it out.
  void end(Slot, Generation) noexcept;
  // {g, *} -> {g+1, pid}, or more as above: a process that another slot's claim names is this slot's from now on.
  // This one store decides a promotion. Killed after it: both claims name the process, and the successor ends the
  // other one.
  Generation take_over(Slot, Generation at_least, std::int32_t pid) noexcept;
  // By place, of whom no slot of the plan has it.
  Claim claim_at(Slot seat) const noexcept;
  void end_at(Slot seat, Generation) noexcept;
  ClaimTicket ticket(Slot, Generation) noexcept;
  std::atomic<std::uint64_t>* failure_word(Slot) noexcept;  // for SpawnPlan::failure_sink
  std::optional<base::ExecFailure> exec_failure(Slot, Generation) const noexcept;

  // --- records. Killed inside save: the record before it stands. ---
  void save(Slot, const InstanceState&) noexcept;
  std::optional<InstanceState> load(Slot) const noexcept;   // nullopt: never saved
  void save_group(GroupIndex, const GroupState&) noexcept;  // as save
  std::optional<GroupState> load_group(GroupIndex) const noexcept;
  void save_system(const SystemRecord&) noexcept;
  std::optional<SystemRecord> load_system() const noexcept;

  // --- for the keeper ---
  void beat() noexcept;  // at least every second, or the keeper takes us for hung after 2 s
  // Recovery is done: from now on our death is followed by a restart at once.
  void set_taken_over(std::uint32_t brain_generation) noexcept;

  // --- events, numbered from 1. Killed inside append: the event never was. ---
  std::uint64_t append(EventRecord) noexcept;  // returns its sequence number
  std::optional<EventRecord> read_event(
      std::uint64_t sequence) const noexcept;  // nullopt: gone, or not yet
  std::uint64_t next_event() const noexcept;
  std::uint64_t oldest_event() const noexcept;  // the first that is still there

 private:
  StateRegion() = default;
  Generation claim_next(Slot, Generation at_least, std::int32_t pid) noexcept;
  state_layout::Layout& layout() const noexcept;

  base::MappedRegion region_;
  std::vector<Slot> seats_;     // by slot
  std::map<Slot, Slot> slots_;  // by seat
};

void set_text(EventRecord&, std::string_view) noexcept;
std::string_view text(const EventRecord&) noexcept;

}  // namespace bulkhead::supervisor
