// Plays the supervisor's part for a pair made without one: learns of the peer's death from the end of
// a socketpair that nobody writes to (the lifeline), looked at in short slices, and tells whether closing an
// end closes it for good when a fork has copied it. Used by connected_pair(); knows no transport.
//
// After a fork both processes hold both ends. Each drops the one that it does not use, which is no
// close: the other process still holds the lifeline. Until both have dropped theirs, a death is not
// noticed, because the survivor itself still holds the dead one's end.
#pragma once

#include <bulkhead/error.hpp>
#include <memory>
#include <mutex>

#include "base/fd.hpp"
#include "ipc/attention.hpp"
#include "ipc/endpoint.hpp"

namespace bulkhead::ipc {

// The attention of one end. Use the pair before a fork or after it, not on both sides of it: an end
// that was used here counts as ours, and closing it closes it for the child too.
class PairAttention final : public Attention {
 public:
  struct Both {
    std::shared_ptr<PairAttention> from, to;
  };
  static Result<Both> make();
  ~PairAttention() override;

  // Whom to tell of the peer's death. Transports that see it on their own connection need no watch, and
  // then nothing here needs to interrupt a sleep.
  void watch(const std::shared_ptr<Endpoint>& endpoint);

  const std::atomic<std::uint32_t>& word() const noexcept override { return word_; }
  int fd() const noexcept override;
  void service() noexcept override;
  std::chrono::nanoseconds longest_sleep() const noexcept override;
  bool let_go(const std::function<EndUse()>& use) noexcept override;

 private:
  struct Lifeline;
  PairAttention(std::shared_ptr<Lifeline> lifeline, Side side);

  const std::shared_ptr<Lifeline> lifeline_;
  const Side side_;
  std::atomic<std::uint32_t> word_{0};
};

}  // namespace bulkhead::ipc
