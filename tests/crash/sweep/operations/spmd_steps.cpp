// A rank is killed at every instruction of a collective: as the last one to come, who wakes the others; and as one that
// comes first, sleeps and is woken. The survivor gets all that this step was to bring, or hears of the death; it never waits on.
#include "pool/spmd_group.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>

#include "base/fd.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

using detail::CollectiveKind;
using Values = std::array<std::uint64_t, 6>;
constexpr std::uint32_t survivor_rank = 0, victim_rank = 1;
constexpr Values of_survivor{1, 2, 3, 4, 5, 6}, of_victim{10, 20, 30, 40, 50, 60};
constexpr Values sums{11, 22, 33, 44, 55, 66};

// A descriptor of the same memory for the victim, who does not inherit the mapping.
class SameMemory final : public detail::AttachmentSource {
 public:
  explicit SameMemory(int fd) noexcept : fd_(fd) {}
  Result<int> take(std::uint64_t) override { return base::duplicate(fd_).value().release(); }
  std::shared_ptr<void>& kept(std::uint64_t, bool) override { return kept_; }

 private:
  int fd_;
  std::shared_ptr<void> kept_;
};

class Ranks : public Operation {
 public:
  void enter(int) override {
    detail::BodyWriter body;
    body.write(memory_);
    SameMemory source(body.attachments().front().fd);
    auto mapped = detail::BodyReader(body.bytes(), &source).read<SharedArray<std::byte>>();
    victim_ = detail::join_group(mapped.value(), victim_rank).value();
  }
  void act(int) override {
    Values got = of_victim;
    const auto deadline = Deadline::in(std::chrono::seconds(30));
    if (add_up(*victim_, got, deadline) && got == sums) progress_->done = 1;
  }

 protected:
  struct Progress {
    std::atomic<std::uint64_t> done;
  };

  static Result<void> add_up(detail::SpmdGroup& group, Values& values, Deadline deadline) {
    std::plus<> plus;
    return carry_out(
        group,
        detail::folding_of<std::uint64_t>(CollectiveKind::all_reduce, 0, values, values, plus),
        deadline);
  }
  pool::SpmdMemory view() const { return pool::SpmdMemory(memory_.span()); }
  pool::RankLine& line(std::uint32_t rank) const { return view().page(rank).line; }
  std::uint32_t bell() const { return view().header().bell.load(); }
  detail::SpmdGroup& survivor() { return *survivor_; }

  // As the owner does, once the kernel has said so; then the survivor comes to another collective.
  void bury(Verdict& verdict) {
    const std::uint32_t before = bell();
    pool::mark_rank(view(), victim_rank, pool::RankState::dead);
    verdict.expect(bell() != before, "(G4) a death rings for nobody");
  }
  void expect_told(Verdict& verdict, const Result<void>& told) {
    verdict.expect(!told && told.error().is(Errc::peer_died), "who waits is not told of the death");
    verdict.expect(told || told.error().context.find("rank 1") != std::string::npos,
                   "the dead rank is not named");
  }

  Shared<Progress> progress_;

 private:
  const SharedArray<std::byte> memory_ =
      pool::make_spmd_memory(2, pool::spmd_piece_bytes_min).value();
  std::shared_ptr<detail::SpmdGroup> survivor_ = detail::join_group(memory_, survivor_rank).value();
  std::shared_ptr<detail::SpmdGroup> victim_;
};

// The survivor came before, and sleeps: set by hand, as its own code leaves it.
class LastToCome final : public Ranks {
 public:
  LastToCome() {
    std::plus<> plus;
    Values mine = of_survivor;
    const auto call =
        detail::folding_of<std::uint64_t>(CollectiveKind::all_reduce, 0, mine, mine, plus);
    (void)survivor().call(call, mine.size(), false);
    std::memcpy(survivor().mine(), mine.data(), sizeof mine);
    line(survivor_rank).arrived = 1;
    line(survivor_rank).asleep = 1;
  }
  void work_beside(Verdict&) override { was_paused_ = true; }
  void check(Verdict& verdict) override {
    const bool has_come = line(victim_rank).arrived.load() == 1;
    verdict.expect(has_come || progress_->done == 0, "(G2) it has the sums, and never came");
    if (was_paused_ || progress_->done == 1) {
      verdict.expect(bell() != 0, "who sleeps is not woken by the last to come");
    }
    verdict.expect(!was_paused_ || progress_->done == 1, "it did not get the sums");
    bury(verdict);
    // What the survivor does when it is awake: at once, or it would wait on.
    const auto met = survivor().meet(Deadline::now());
    if (!has_come) return expect_told(verdict, met);
    verdict.expect(met.has_value(), "all had come, and the survivor is told that they had not");
    verdict.expect(survivor().compare_calls().has_value(),
                   "(G2) it came before its call was there");
    Values sent;
    std::memcpy(sent.data(), survivor().of(victim_rank), sizeof sent);
    verdict.expect(sent == of_victim, "(G2) it came before its values were there");
    Values next = of_survivor;
    expect_told(verdict, add_up(survivor(), next, Deadline::now()));
  }

 private:
  bool was_paused_ = false;
};

class FirstToCome final : public Ranks {
 public:
  void wake() override { come(); }
  void work_beside(Verdict& verdict) override {
    if (line(victim_rank).arrived.load() == 0) return;
    come();
    verdict.expect(got_ == sums, "who comes last does not get the sums");
    was_paused_ = true;
  }
  void check(Verdict& verdict) override {
    verdict.expect(!was_paused_ || progress_->done == 1, "the sleeper did not get the sums");
    verdict.expect(!has_come_ || got_ == sums, "who comes last does not get the sums");
    bury(verdict);
    Values next = of_survivor;
    expect_told(verdict, add_up(survivor(), next, Deadline::now()));
  }

 private:
  void come() {
    if (has_come_) return;
    has_come_ = true;
    (void)add_up(survivor(), got_, Deadline::now());
  }

  Values got_ = of_survivor;
  bool has_come_ = false, was_paused_ = false;
};

}  // namespace

Rows spmd_steps() {
  return {{"spmd.last", [] { return std::make_unique<LastToCome>(); }, true},
          {"spmd.first", [] { return std::make_unique<FirstToCome>(); }}};
}

}  // namespace bulkhead::sweep
