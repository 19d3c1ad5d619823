// A dispatcher is killed while it writes the journal of its queue, anywhere between the push of a task and
// its end. Its successor finds the state before or after the transition ((J1) to (J7) of
// ipc/queue_layout.hpp), counts what was given up once, and goes on.
#include <array>
#include <atomic>
#include <optional>
#include <string>

#include "ipc/queue_frame.hpp"
#include "ipc/queue_journal.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

using ipc::QueueJournal;
using ipc::TaskState;

constexpr auto shape = ipc::JournalShape::of(4096, 2);
constexpr ipc::JournalLimits limits{.max_attempts = 2, .message_max = 2048};
constexpr std::uint16_t worker = 1, epoch = 7;
constexpr std::array<std::byte, 100> text{std::byte{42}};

// What is known of the two tasks once so many steps are done; free: not yet, or no more.
struct Known {
  TaskState first = TaskState::free;
  std::uint16_t blamed = 0;  // of the first
  TaskState second = TaskState::free;
  std::uint64_t pushed = 0, given_up = 0;

  friend bool operator==(const Known&, const Known&) = default;
};

using S = TaskState;
constexpr Known known_after[] = {
    {},
    {S::pending, 0, S::free, 1, 0},      // push the first
    {S::pending, 0, S::pending, 2, 0},   // push the second
    {S::dealt, 0, S::pending, 2, 0},     //
    {S::started, 0, S::pending, 2, 0},   //
    {S::pending, 1, S::pending, 2, 0},   // its worker died over it
    {S::dealt, 1, S::pending, 2, 0},     //
    {S::started, 1, S::pending, 2, 0},   //
    {S::given_up, 2, S::pending, 2, 1},  // … and again
    {S::free, 0, S::pending, 2, 1},      // that is over
    {S::free, 0, S::dealt, 2, 1},        //
    {S::free, 0, S::pending, 2, 1},      // its worker died before it began
    {S::free, 0, S::dealt, 2, 1},        //
    {S::free, 0, S::started, 2, 1},      //
    {S::free, 0, S::answered, 2, 1},     //
    {S::free, 0, S::free, 2, 1},         // that is over
};
constexpr std::size_t steps = std::size(known_after) - 1;

class Life final : public Operation {
 public:
  Life() : memory_(QueueJournal::create("swept", shape).value()) {}
  void enter(int) override { journal_.emplace(take_over()); }

  void act(int) override {
    for (std::size_t step = 1; step <= steps; ++step) {
      carry_out(step);
      progress_->done = step;
    }
  }

  void check(Verdict& verdict) override {
    auto taken = QueueJournal::take_over(base::duplicate(memory_.get()).value(), limits);
    if (!verdict.expect(taken.has_value(), "the successor refuses the journal")) return;
    const std::size_t done = progress_->done;
    const Known found = look(*taken);
    const bool before = found == known_after[done];
    const bool after = done < steps && found == known_after[done + 1];
    verdict.expect(before || after,
                   "the journal is between two states, after step " + std::to_string(done));
    const auto next = taken->push(text);
    verdict.expect(next && taken->task(*next) == found.pushed + 1,
                   "(J2) the successor does not number on");
    QueueJournal third = take_over();
    verdict.expect(third.given_up() == found.given_up, "(J6) a task is counted twice");
    for (const auto slot : third.tasks()) {
      const auto bytes = third.message(slot);
      const bool whole = bytes.size() == ipc::queue_frame_bytes + text.size() &&
                         bytes[ipc::queue_frame_bytes] == text[0];
      verdict.expect(whole, "(J1) the bytes of a task are not its own");
    }
  }

 private:
  struct Progress {
    std::atomic<std::size_t> done;
  };

  QueueJournal take_over() const {
    return QueueJournal::take_over(base::duplicate(memory_.get()).value(), limits).value();
  }

  void carry_out(std::size_t step) {
    QueueJournal& journal = *journal_;
    switch (step) {
      case 1: first_ = journal.push(text).value(); break;
      case 2: second_ = journal.push(text).value(); break;
      case 3:
      case 6: journal.deal(first_, worker, epoch, step); break;
      case 4:
      case 7: journal.start(first_); break;
      case 5:
      case 8: static_cast<void>(journal.return_blamed(first_, step)); break;
      case 9: journal.finish(first_); break;
      case 10:
      case 12: journal.deal(second_, worker, epoch, step); break;
      case 11: journal.return_unblamed(second_); break;
      case 13: journal.start(second_); break;
      case 14: journal.answer(second_); break;
      case 15: journal.finish(second_); break;
      default: give_up("sweep: a step of the journal that there is not");
    }
  }

  static Known look(const QueueJournal& journal) {
    Known known;
    if (const auto slot = journal.find(1)) {
      known.first = journal.word(*slot).state;
      known.blamed = journal.word(*slot).blamed;
    }
    if (const auto slot = journal.find(2)) known.second = journal.word(*slot).state;
    known.pushed = journal.pushed();
    known.given_up = journal.given_up();
    return known;
  }

  base::UniqueFd memory_;
  std::optional<QueueJournal> journal_;
  ipc::SlotIndex first_ = 0, second_ = 0;
  Shared<Progress> progress_;
};

}  // namespace

Rows queue_journal() {
  return {{"queue.journal", [] { return std::make_unique<Life>(); }}};
}

}  // namespace bulkhead::sweep
