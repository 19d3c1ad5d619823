// The bare mechanisms over shared memory.
//
// | tag        | writer      | reader      | visible after it          | killed in between        |
// |------------|-------------|-------------|---------------------------|--------------------------|
// | bench.turn | either end  | the other   | the message of that round | the benchmark ends       |
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>
#include <vector>

#include "bench/baseline.hpp"
#include "bench/shared_pages.hpp"
#include "ipc/segment_layout.hpp"
#include "ipc/wake.hpp"

namespace bulkhead::bench {
namespace {

struct alignas(ipc::line_stride) Turn {
  std::atomic<std::uint32_t> value{0};
};
struct Turns {
  Turn ping, pong;
};

class Cacheline {
 public:
  explicit Cacheline(std::unique_ptr<SharedPages> pages)
      : pages_(std::move(pages)), turns_(new (pages_->data()) Turns) {}

  bool ping() noexcept { return take_turn(turns_->ping, turns_->pong); }
  bool pong() noexcept {
    ++round_;
    wait_for(turns_->ping);
    publish(turns_->pong);
    return true;
  }
  void enter_echo() noexcept {}
  void enter_ping() noexcept {}
  std::uint64_t syscalls() const noexcept { return 0; }

 private:
  bool take_turn(Turn& ours, const Turn& theirs) noexcept {
    ++round_;
    publish(ours);
    wait_for(theirs);
    return true;
  }
  void publish(Turn& turn) const noexcept {
    // sync bench.turn: release; pairs with wait_for(); publishes the round
    turn.value.store(round_, std::memory_order_release);
  }
  void wait_for(const Turn& turn) const noexcept {
    // sync bench.turn: acquire; pairs with publish(); shows the round
    while (turn.value.load(std::memory_order_acquire) != round_) ipc::cpu_pause();
  }

  std::unique_ptr<SharedPages> pages_;
  Turns* turns_;
  std::uint32_t round_ = 0;
};

class Futex {
 public:
  Futex(std::unique_ptr<SharedPages> pages, std::size_t bytes)
      : pages_(std::move(pages)), turns_(new (pages_->data()) Turns), message_(bytes) {}

  static std::size_t pages_for(std::size_t bytes) { return sizeof(Turns) + 2 * bytes; }

  bool ping() noexcept {
    ++round_;
    publish(turns_->ping, there());
    wait_for(turns_->pong);
    return true;
  }
  bool pong() noexcept {
    ++round_;
    wait_for(turns_->ping);
    publish(turns_->pong, back());
    return true;
  }
  void enter_echo() noexcept {}
  void enter_ping() noexcept {}
  std::uint64_t syscalls() const noexcept { return calls_; }

 private:
  std::byte* there() const noexcept { return pages_->data() + sizeof(Turns); }
  std::byte* back() const noexcept { return there() + message_.size(); }

  void publish(Turn& turn, std::byte* target) noexcept {
    std::memcpy(target, message_.data(), message_.size());
    // sync bench.turn: release; pairs with wait_for(); publishes the message
    turn.value.store(round_, std::memory_order_release);
    call(turn, FUTEX_WAKE, 1);
  }
  void wait_for(Turn& turn) noexcept {
    for (;;) {
      // sync bench.turn: acquire; pairs with publish(); shows the message
      const std::uint32_t seen = turn.value.load(std::memory_order_acquire);
      if (seen == round_) return;
      call(turn, FUTEX_WAIT, seen);
    }
  }
  void call(Turn& turn, int operation, std::uint32_t value) noexcept {
    ++calls_;
    ::syscall(SYS_futex, &turn.value, operation, value, nullptr, nullptr, 0);
  }

  std::unique_ptr<SharedPages> pages_;
  Turns* turns_;
  std::vector<std::byte> message_;
  std::uint32_t round_ = 0;
  std::uint64_t calls_ = 0;
};

}  // namespace

Result<std::unique_ptr<Contestant>> start_cacheline(Processors processors) {
  auto pages = SharedPages::map(sizeof(Turns));
  if (!pages) return pages.error();
  return MeasuredContestant<Cacheline>::start(std::make_unique<Cacheline>(std::move(*pages)),
                                              processors.echo);
}

Result<std::unique_ptr<Contestant>> start_futex(Processors processors, std::size_t bytes) {
  auto pages = SharedPages::map(Futex::pages_for(bytes));
  if (!pages) return pages.error();
  return MeasuredContestant<Futex>::start(std::make_unique<Futex>(std::move(*pages), bytes),
                                          processors.echo);
}

}  // namespace bulkhead::bench
