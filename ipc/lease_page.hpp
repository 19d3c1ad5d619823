// How long a worker has held a task, in one word that it shares with the brain, and who decides when that is too
// long. One page for each pair of a queue with a `lease_timeout`, made by the brain for all incarnations of
// the worker. Used by QueueConsumer (its clock) and by the brain's LeaseWatch; knows no message.
//
//   0                                      8
//   | word: 0, or {began_ns:63, condemned} | unused up to one line |
//
// | from \ by  | the worker                        | the brain, or its successor            |
// |------------|-----------------------------------|----------------------------------------|
// | 0          | begun: before its program has it  | 0: an incarnation opens the link       |
// | begun      | 0: completed, or given back       | condemned: it is overdue               |
// | condemned  | nothing: it says no more          | (kills the worker)                     |
//
// (C1) Both leave `begun` by a compare-exchange, so a task that is completed condemns nobody, and a condemned
//      worker completes nothing: the death that follows is blamed on the task that was overdue.
// (C2) The brain kills whom it finds condemned, whoever did that; so a brain that dies in between is
//      outlived by its verdict.
//
// | tag         | writer | reader | visible after it     | killed in between                    |
// |-------------|--------|--------|----------------------|--------------------------------------|
// | lease.word  | both   | both   | nothing but the word | the state before                     |
#pragma once

#include <atomic>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "base/fd.hpp"
#include "base/mapped_region.hpp"

namespace bulkhead::ipc {

struct alignas(64) LeasePage {
  std::atomic<std::uint64_t> word;
};
static_assert(sizeof(LeasePage) == 64 && std::atomic<std::uint64_t>::is_always_lock_free);

inline constexpr std::size_t lease_page_bytes = 4096;

// Fresh, of a size that cannot change.
[[nodiscard]] Result<base::UniqueFd> make_lease_page(const std::string& name);
// Writable, for either. Errors: protocol_violation for a page that is too small.
[[nodiscard]] Result<base::MappedRegion> map_lease_page(int fd);

// The worker's part. One thread.
class LeaseClock {
 public:
  explicit LeaseClock(base::MappedRegion region) noexcept : region_(std::move(region)) {}

  void begin(std::uint64_t now_ns) noexcept;
  // False: the worker is condemned, and says nothing more about the task.
  bool end() noexcept;
  void go_on() noexcept;  // what was ended is not over after all
  bool is_condemned() const noexcept;

 private:
  LeasePage& page() const noexcept { return *reinterpret_cast<LeasePage*>(region_.data()); }
  base::MappedRegion region_;
  std::uint64_t begun_ = 0;
};

// The brain's part.
void forget_lease(LeasePage&) noexcept;  // by no incarnation any more
// True: the worker has to die, for it has held a task for `timeout_ns` or more.
bool is_overdue(LeasePage&, std::uint64_t timeout_ns, std::uint64_t now_ns) noexcept;
// When that can be so at the earliest.
std::uint64_t due_at(const LeasePage&, std::uint64_t timeout_ns, std::uint64_t now_ns) noexcept;

}  // namespace bulkhead::ipc
