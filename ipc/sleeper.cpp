#include "ipc/sleeper.hpp"

#include <sched.h>

#include <algorithm>
#include <array>

#include "ipc/poll_sleep.hpp"

namespace bulkhead::ipc {

Sleeper::Sleeper(std::atomic<std::uint32_t>& arming, std::atomic<std::uint32_t>& cpu,
                 const std::atomic<std::uint32_t>& mailbox, Attention& attention,
                 WaitMode mode) noexcept
    : arming_(arming),
      cpu_(cpu),
      mailbox_(mailbox),
      attention_(attention),
      attention_word_(attention.word()),
      // relaxed: a first value that is behind only makes the first call look.
      attention_seen_(attention_word_.load(std::memory_order_relaxed) - 1),
      mode_(mode),
      next_service_(Deadline::in(attention.longest_sleep()).when()) {}

void Sleeper::service() noexcept {
  // Read before the work: what is asked for in the meantime is seen the next time.
  // sync attention.bump: acquire; pairs with its writer's release; shows what wants attention
  attention_seen_ = attention_word_.load(std::memory_order_acquire);
  attention_.service();
  next_service_ = Deadline::in(attention_.longest_sleep()).when();
}

// A peer that last waited on our CPU cannot answer while we spin on it.
bool Sleeper::may_spin(PeerSigns peer) noexcept {
  spins_ = shares_processor_ = false;
  if (mode_ == WaitMode::block || peer.bell == nullptr) return false;
  const auto here = static_cast<std::uint32_t>(::sched_getcpu()) + 1;
  if (here != cpu_seen_) {
    cpu_seen_ = here;
    cpu_.store(here, std::memory_order_relaxed);  // relaxed: a hint to the peer
  }
  // relaxed: a hint from the peer
  shares_processor_ = peer.cpu->load(std::memory_order_relaxed) == here;
  if (shares_processor_) return false;
  spins_ = mode_ == WaitMode::spin || pace_.budget() != SpinPace::Span::zero();
  return spins_;
}

void Sleeper::yield() noexcept { ::sched_yield(); }

bool Sleeper::interrupted(std::uint32_t mailbox_seen) const noexcept {
  // sync mailbox.version: acquire; pairs with PeerRoster::post; shows that an update is there
  return mailbox_.load(std::memory_order_acquire) != mailbox_seen || attention_moved();
}

void Sleeper::arm(Sleep how, Barrier barrier) noexcept {
  armed_ = true;
  // relaxed: the barrier right after it orders it before our last look.
  arming_.store(arming(++sequence_, how), std::memory_order_relaxed);
  sleeper_barrier(barrier);
}

void Sleeper::disarm() noexcept {
  armed_ = false;
  arming_.store(
      0, std::memory_order_relaxed);  // relaxed: seen late it costs the peer a ring for nobody
}

bool Sleeper::sleep(Deadline deadline, PeerSigns peer, std::uint32_t rung,
                    std::uint32_t mailbox_seen) noexcept {
  std::array<FutexWatch, 3> watches{FutexWatch{&attention_word_, attention_seen_},
                                    FutexWatch{&mailbox_, mailbox_seen}, FutexWatch{}};
  std::size_t count = 2;
  if (peer.bell != nullptr) watches[count++] = {peer.bell, rung};
  const auto until = std::min(deadline.when(), Deadline::in(attention_.longest_sleep()).when());
  sleeps_.add(1);
  attention_.sleeping(true);
  const bool timed_out = !futex_wait({watches.data(), count}, until);
  attention_.sleeping(false);
  return timed_out && until != deadline.when();
}

Sleeper::End Sleeper::wait_for(WaitPlan plan, int bell, Deadline deadline) noexcept {
  if (deadline.stopped()) return End::stopped;  // as in wait()
  sleeps_.add(1);
  unasked_ = poll_sleep(plan, bell, &attention_, deadline).unasked;
  return conclude(deadline);
}

Sleeper::End Sleeper::conclude(Deadline deadline) noexcept {
  if (attention_moved() || Clock::now() >= next_service_) service();
  if (deadline.stopped()) return End::stopped;
  return deadline.expired() ? End::timed_out : End::look;
}

std::uint32_t Sleeper::load_bell(const std::atomic<std::uint32_t>& bell) noexcept {
  // sync wake.bell: acquire; pairs with ring(); shows what was published before the last ring
  return bell.load(std::memory_order_acquire);
}

// A commit that met the end of the sleep by chance is rung for a moment later; a lost wake-up never.
bool Sleeper::rings_late(PeerSigns peer, std::uint32_t rung) noexcept {
  for (int i = 0; i < 10000; ++i) {
    if (peer.bell == nullptr || load_bell(*peer.bell) != rung) return true;
    cpu_pause();
  }
  return false;
}

}  // namespace bulkhead::ipc
