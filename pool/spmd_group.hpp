// One rank's end of its group: comes to a step, waits for the others, and knows why it cannot. Used by a communicator; what
// is exchanged in the steps is in spmd_group.cpp's Exchange. One thread.
#pragma once

#include <bulkhead/deadline.hpp>
#include <bulkhead/shared_array.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "ipc/sleeper.hpp"
#include "pool/spmd_layout.hpp"

namespace bulkhead::detail {

class SpmdGroup {
 public:
  SpmdGroup(SharedArray<std::byte> memory, std::uint32_t rank);

  std::uint32_t rank() const noexcept { return rank_; }
  std::uint32_t size() const noexcept { return size_; }
  std::size_t piece_bytes() const noexcept { return view_.header().piece_bytes; }

  // A collective: call() first, then its steps, each of which is: write to mine(), meet(), read of() the others.
  // Errors: what ended this rank's membership; peer_died when somebody is dead.
  Result<void> call(const Collective&, std::size_t count, bool is_refused);
  std::byte* mine() const noexcept { return view_.half(rank_, step_ + 1); }
  Result<void> meet(Deadline);
  const std::byte* of(std::uint32_t rank) const noexcept { return view_.half(rank, step_); }
  // After the first step. Errors: protocol_violation.
  Result<void> compare_calls() const;

  // Not by an error: what was begun can never be ended now.
  void abandon();
  void leave(pool::RankState) noexcept;

 private:
  using Clock = std::chrono::steady_clock;

  pool::RankLine& line_of(std::uint32_t rank) const noexcept { return view_.page(rank).line; }
  bool all_here() noexcept;
  void arrive() noexcept;
  bool spin() noexcept;
  Result<void> sleep(Deadline);
  pool::RankState state_of(std::uint32_t rank) const noexcept;
  std::optional<std::uint32_t> first_dead() const noexcept;
  std::optional<Error> why_not() const;
  std::string in_words_where() const;
  Error end_with(Error);

  const SharedArray<std::byte> memory_;
  const pool::SpmdMemory view_;
  const std::uint32_t rank_, size_;
  const bool may_spin_;
  ipc::SpinPace pace_;
  std::uint64_t step_ = 0, sequence_ = 0;
  CollectiveKind kind_ = CollectiveKind::barrier;
  std::uint32_t here_ = 0;       // ranks below it have arrived at step_
  std::uint32_t processor_ = 0;  // as our line has it
  std::optional<Error> ended_;   // why this rank takes no part any more
};

}  // namespace bulkhead::detail
