// One direction's way to wait: spin as long as it pays, then arm, look once more, sleep on the peer's
// bell, the attention word and our own mailbox. Used by the sender and the receiver of the
// shared-memory endpoint and by both ends of a topic, one Sleeper each; knows no lane.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/deadline.hpp>
#include <chrono>
#include <cstdint>
#include <utility>

#include "ipc/attention.hpp"
#include "ipc/wake.hpp"

namespace bulkhead::ipc {

struct WaitPlan;

// Written by one thread, read by any.
class Counter {
 public:
  void add(std::uint64_t n) noexcept {
    // relaxed: one writer; readers want a recent figure and nothing that goes with it.
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  std::uint64_t get() const noexcept {
    return value_.load(std::memory_order_relaxed);  // relaxed: as in add()
  }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Whether spinning is likely to pay, learnt from how long this direction waited before. To sleep and
// be woken costs tens of microseconds; spinning for longer than that never wins.
class SpinPace {
 public:
  using Span = std::chrono::nanoseconds;
  static constexpr Span longest = std::chrono::microseconds(40);
  static constexpr Span wake_cost = std::chrono::microseconds(50);

  Span budget() const noexcept { return gap_ > longest ? Span::zero() : longest; }
  void arrived(Span waited) noexcept { gap_ += (waited - gap_) / 8; }
  void slept(Span waited) noexcept {
    const auto gap = waited > wake_cost ? waited - wake_cost : Span::zero();
    arrived(gap < 8 * longest ? gap : 8 * longest);  // one long pause is forgotten soon
  }

 private:
  Span gap_ = Span::zero();
};

// What a waiting end needs of the other one's page; all null while there is none.
struct PeerSigns {
  const std::atomic<std::uint32_t>* bell = nullptr;
  const std::atomic<std::uint32_t>* cpu = nullptr;
  Barrier barrier = Barrier::fences;
};

class Sleeper {
 public:
  enum class End { look, timed_out, stopped };

  // `arming` and `cpu` lie in our own page; `mailbox` changes when an update is posted to this
  // endpoint.
  Sleeper(std::atomic<std::uint32_t>& arming, std::atomic<std::uint32_t>& cpu,
          const std::atomic<std::uint32_t>& mailbox, Attention& attention, WaitMode mode) noexcept;

  // Somebody wants attention: one load, for every call.
  bool attention_moved() const noexcept {
    // relaxed: service() reads it again, with acquire.
    return attention_word_.load(std::memory_order_relaxed) != attention_seen_;
  }
  void service() noexcept;

  // For `pauses` of who waits for space: the reader stores its cursor with every message, and has a ring full of
  // them to go on with.
  static constexpr int pauses_when_full = 16;

  // How many looks without a clock are worth while before wait(), as it saw when it last began.
  int looks_at_once() const noexcept { return spins_ ? burst : 1; }

  // Ends with `look` when `ready()` may be true, or the mailbox or the attention word moved; the
  // latter is serviced then. `mailbox_seen` is the mailbox as the caller has read it. While spinning, there are
  // `pauses` from one look to the next: a look takes the line from whoever writes to it.
  template <class Ready>
  End wait(Deadline deadline, PeerSigns peer, std::uint32_t mailbox_seen, const Ready& ready,
           int pauses = 1) {
    if (may_spin(peer)) {
      for (int i = 0; i < burst; i += pauses) {  // without a look at the clock
        if (ready()) {
          pace_.arrived(burst_span);
          return End::look;
        }
        cpu_pauses(pauses);
      }
    }
    const auto begin = Clock::now();
    switch (spin(deadline, peer, mailbox_seen, begin, ready, pauses)) {
      case Spun::ready: return End::look;
      case Spun::ended: return conclude(deadline);
      case Spun::in_vain: break;
    }
    if (shares_processor_ && mode_ == WaitMode::adaptive &&
        pace_.budget() != SpinPace::Span::zero()) {
      for (int i = 0; i < yields_most; ++i) {
        yield();
        if (ready()) return End::look;
        if (interrupted(mailbox_seen) || deadline.stopped()) return conclude(deadline);
      }
    }
    const std::uint32_t rung = peer.bell == nullptr ? 0 : load_bell(*peer.bell);
    arm(Sleep::on_futex, peer.barrier);
    // The caller may have heard of a stop since it looked at its deadline, and nobody tells twice.
    const bool came = ready();
    if (came || interrupted(mailbox_seen) || deadline.stopped()) {
      disarm();
      if (came) pace_.arrived(Clock::now() - begin);
      return conclude(deadline);
    }
    const bool unasked = sleep(deadline, peer, rung, mailbox_seen);
    disarm();
    pace_.slept(Clock::now() - begin);
    if (unasked && ready() && !rings_late(peer, rung)) safety_net_.add(1);
    return conclude(deadline);
  }

  // On a descriptor instead, which becomes readable when there is something; `bell` as in poll_sleep(). Without spinning.
  End wait_for(WaitPlan, int bell, Deadline) noexcept;
  // What a wait_for() ended for is here: whether anybody has announced it.
  void found() noexcept {
    if (std::exchange(unasked_, false)) safety_net_.add(1);
  }

  // For waits outside: arm, then look, then poll; disarm afterwards.
  void arm(Sleep how, Barrier) noexcept;
  void disarm() noexcept;
  bool is_armed() const noexcept { return armed_; }

  std::uint64_t sleeps() const noexcept { return sleeps_.get(); }
  std::uint64_t safety_net() const noexcept { return safety_net_.get(); }

 private:
  using Clock = std::chrono::steady_clock;
  enum class Spun { ready, ended, in_vain };
  static constexpr int burst = 64;
  static constexpr auto burst_span = std::chrono::microseconds(1);
  // A peer that shares our processor gets on when we let it have that, at the price of one system call: to sleep costs a
  // barrier on every processor and the peer another call. Several, because others may be let in first.
  static constexpr int yields_most = 4;

  template <class Ready>
  Spun spin(Deadline deadline, PeerSigns peer, std::uint32_t mailbox_seen, Clock::time_point begin,
            const Ready& ready, int pauses) {
    for (auto now = begin; may_spin(peer); now = Clock::now()) {
      if (mode_ == WaitMode::adaptive && now - begin >= pace_.budget()) return Spun::in_vain;
      if (interrupted(mailbox_seen) || deadline.stopped() || now >= next_service_)
        return Spun::ended;
      if (!deadline.is_never() && now >= deadline.when()) return Spun::ended;
      for (int i = 0; i < burst; i += pauses) {
        if (ready()) {
          pace_.arrived(now - begin);
          return Spun::ready;
        }
        cpu_pauses(pauses);
      }
    }
    return Spun::in_vain;
  }

  static void cpu_pauses(int count) noexcept {
    for (; count > 0; --count) cpu_pause();
  }
  bool may_spin(PeerSigns) noexcept;
  static void yield() noexcept;
  bool interrupted(std::uint32_t mailbox_seen) const noexcept;
  End conclude(Deadline) noexcept;
  bool sleep(Deadline, PeerSigns, std::uint32_t rung, std::uint32_t mailbox_seen) noexcept;
  static std::uint32_t load_bell(const std::atomic<std::uint32_t>&) noexcept;
  static bool rings_late(PeerSigns, std::uint32_t rung) noexcept;

  std::atomic<std::uint32_t>& arming_;
  std::atomic<std::uint32_t>& cpu_;
  const std::atomic<std::uint32_t>& mailbox_;
  Attention& attention_;
  const std::atomic<std::uint32_t>& attention_word_;
  std::uint32_t attention_seen_;
  std::uint32_t cpu_seen_ = 0;
  std::uint32_t sequence_ = 0;
  WaitMode mode_;
  bool armed_ = false;
  bool spins_ = false;             // what may_spin() said last
  bool shares_processor_ = false;  // with the peer, as may_spin() saw it last
  bool unasked_ = false;           // only the bound ended the last wait_for()
  Clock::time_point next_service_;
  SpinPace pace_;
  Counter sleeps_, safety_net_;
};

}  // namespace bulkhead::ipc
