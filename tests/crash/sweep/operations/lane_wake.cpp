// A sender is killed while its peer really sleeps in the kernel, on the futex of the bell: between the commit
// and the ring, and between the ring and the system call that wakes. Whatever it came to, the sleeper must
// return: woken by the ring, or by the death through the attention word. A third process is the sleeper.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>

#include "ipc/end_page.hpp"
#include "ipc/shm_endpoint.hpp"
#include "ipc/wake.hpp"
#include "tests/crash/sweep/lane_stage.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"
#include "tests/crash/sweep/victim.hpp"

namespace bulkhead::sweep {
namespace {

constexpr std::size_t bytes = 56;

struct Told {  // shared with the sleeper, as the brain's page would be
  std::atomic<std::uint32_t> attention, sender_died;
  std::atomic<std::uint64_t> sent, received, torn, died, others;
};

// Nothing but the ring or the death ends a sleep here: no net catches what is lost.
class SleeperAttention final : public ipc::Attention {
 public:
  explicit SleeperAttention(Told& told) : told_(told) {}
  const std::atomic<std::uint32_t>& word() const noexcept override { return told_.attention; }
  int fd() const noexcept override { return -1; }
  void service() noexcept override {
    const auto endpoint = endpoint_.lock();
    if (endpoint && told_.sender_died != 0) {
      endpoint->post({ipc::LinkUpdate::Kind::peer_died, 1, {}});
    }
  }
  std::chrono::nanoseconds longest_sleep() const noexcept override { return std::chrono::hours(1); }
  void watch(const std::shared_ptr<ipc::Endpoint>& endpoint) { endpoint_ = endpoint; }

 private:
  Told& told_;
  std::weak_ptr<ipc::Endpoint> endpoint_;
};

class WakeSleeper final : public Operation {
 public:
  WakeSleeper() {
    auto attention = std::make_shared<SleeperAttention>(*told_);
    ipc::EndSpec spec;
    spec.link = "sleeper";
    spec.side = ipc::Side::to;
    spec.peer_life = ipc::PeerLife::single;
    spec.options = {.capacity = 4096, .max_message = 1024, .wait = WaitMode::block};
    spec.survives_fork = true;
    spec.attention = attention;
    to_ = ipc::open_shm_endpoint(std::move(spec)).value();
    attention->watch(to_);
    from_.meet(*to_);
    to_->post({ipc::LinkUpdate::Kind::peer_segment, 1, copy_of(from_.endpoint->segment_fd())});
    sleeper_ = fork();
    if (sleeper_ < 0) give_up("sweep: fork a sleeper");
    if (sleeper_ == 0) fall_silent();
    const auto page = ipc::Segment::attach_peer(base::duplicate(to_->segment_fd()).value()).value();
    while (page.page().armed == 0) sched_yield();
    if (!wait_until_asleep(sleeper_)) give_up("sweep: the sleeper does not sleep");
  }
  ~WakeSleeper() override {
    if (sleeper_ < 0) return;
    kill(sleeper_, SIGKILL);
    waitpid(sleeper_, nullptr, 0);
  }

  void act(int) override {
    if (from_.endpoint->send(message_text(1, bytes), Deadline::now())) told_->sent = 1;
  }
  void work_beside(Verdict&) override { was_paused_ = true; }
  void check(Verdict& verdict) override {
    if (was_paused_ || told_->sent == 1) await_message(verdict);
    told_->sender_died = 1;
    ipc::ring(told_->attention);
    waitpid(sleeper_, nullptr, 0);  // the crew watches over us
    sleeper_ = -1;
    verdict.expect(told_->died == 1 && told_->others == 0, "the sleeper did not hear of the death");
    verdict.expect(told_->torn == 0, "the message is torn");
    verdict.expect(told_->received >= told_->sent, "a committed message was lost");
  }

 private:
  [[noreturn]] void fall_silent() {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
      const auto message = to_->receive(Deadline::in(std::chrono::seconds(30)));
      if (!message) {
        ++(message.error().is(Errc::peer_died) ? told_->died : told_->others);
        _exit(0);
      }
      if (!is_message(message->bytes(), 1, bytes)) ++told_->torn;
      ++told_->received;
    }
  }
  // The sender has come to its end, so the sleeper was rung for: no death is needed.
  void await_message(Verdict& verdict) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (told_->received == 0 && std::chrono::steady_clock::now() < until) sched_yield();
    verdict.expect(told_->received == 1, "a wake-up was lost");
  }

  Shared<Told> told_;
  LaneEnd from_ = open_lane_end({});
  std::shared_ptr<ipc::Endpoint> to_;
  pid_t sleeper_ = -1;
  bool was_paused_ = false;
};

}  // namespace

Rows lane_wake() {
  return {{"lane.wake.sleeper", [] { return std::make_unique<WakeSleeper>(); }, true}};
}

}  // namespace bulkhead::sweep
