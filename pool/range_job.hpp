// The items of one block of a range: their ledger, who works on them, what came of them. Used by the dispatcher, under
// its lock. Knows nothing of processes.
#pragma once

#include <bulkhead/detail/claim_ledger.hpp>
#include <bulkhead/pool.hpp>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "pool/shared_memory.hpp"

namespace bulkhead::pool {

class RangeJob {
 public:
  // Errors: of the system, when the memory cannot be had.
  static Result<std::unique_ptr<RangeJob>> create(detail::RangeWork, std::uint32_t slots);

  // What a worker in that seat is to do; its slot is filled. nullopt: nothing that it could help with.
  struct Part {
    bool open = false;   // goes on to claim
    bool alone = false;  // one item that killed its worker before
  };
  std::optional<Part> next_part(std::uint32_t seat);
  bool has_claims() const noexcept;                                // whether one more could help
  std::uint32_t slots() const noexcept { return ledger().slots; }  // seats that can take part

  // A result whose place is not in the ledger. False: it has come before.
  void take_value(std::uint32_t item, detail::BodyReader&);
  void take_failure(std::uint32_t item, TaskFailure);
  void end_part(std::uint32_t seat) { at_work_.erase(seat); }

  // The worker died. The item that it was running is tried again up to `retries` times, and then fails with this.
  // True when it is tried again.
  bool lose_part(std::uint32_t seat, TaskFailure, unsigned retries);
  // The item under way and since when, where items have a time limit.
  struct TimedItem {
    std::uint64_t item;  // + 1
    std::chrono::steady_clock::time_point started;
  };
  std::optional<TimedItem> timed_item(std::uint32_t seat);

  // Once nobody is at work: true when every item has ended; else what is left has been put back.
  bool settle();
  bool is_idle() const { return at_work_.empty(); }
  void give_up(const TaskFailure&);  // every item that has not ended fails with this

  std::size_t failures() const { return failures_.size(); }
  detail::RangeOutcome outcome();
  const std::shared_ptr<detail::SharedMemory>& memory() const { return memory_; }

 private:
  RangeJob(detail::RangeWork, std::shared_ptr<detail::SharedMemory>) noexcept;
  detail::ClaimLedger& ledger() const noexcept {
    return *reinterpret_cast<detail::ClaimLedger*>(memory_->bytes().data());
  }
  void lay_out(std::uint32_t slots);
  bool is_undone(std::uint32_t item) const noexcept;
  void put_back(detail::ClaimRange);
  void fail_item(std::uint32_t item, TaskFailure);

  detail::RangeWork work_;
  std::shared_ptr<detail::SharedMemory> memory_;
  std::set<std::uint32_t> at_work_;
  std::deque<detail::ClaimRange> put_back_;
  std::deque<std::uint32_t> suspects_;
  std::map<std::uint32_t, unsigned> attempts_;
  std::map<std::uint32_t, TaskFailure> failures_;
  std::vector<bool> delivered_;
};

}  // namespace bulkhead::pool
