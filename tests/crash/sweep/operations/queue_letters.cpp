// Dead letters under the knife: a dispatcher that keeps them, drops the oldest for want of room and takes back
// what was requeued, and a brain that requeues, killed anywhere. No letter is lost unseen, and none comes
// back twice ((J2), (J6), (J7) of ipc/queue_layout.hpp).
#include <array>
#include <atomic>
#include <optional>
#include <string>

#include "ipc/queue_frame.hpp"
#include "ipc/queue_journal.hpp"
#include "ipc/queue_letters.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

using ipc::QueueJournal;
using ipc::QueueLetters;
using ipc::TaskState;
using S = TaskState;

constexpr auto shape = ipc::JournalShape::of(4096, 2);  // its letters have 2048 bytes
constexpr ipc::JournalLimits limits{.max_attempts = 1, .message_max = 2048};
constexpr std::uint64_t operation = 0x5eed'0000;
constexpr std::array<std::byte, 1500> text{std::byte{42}};

QueueJournal take_over(const base::UniqueFd& memory) {
  return QueueJournal::take_over(base::duplicate(memory.get()).value(), limits).value();
}
void die_over(QueueJournal& journal, ipc::SlotIndex slot) {
  journal.deal(slot, 1, 7, 1);
  journal.start(slot);
  static_cast<void>(journal.return_blamed(slot, journal.task(slot)));
}
void hear_all(QueueJournal& journal, ipc::SlotIndex slot) {
  journal.mark(slot, ipc::task_told);
  journal.mark(slot, ipc::task_seen);
}
S state_of(const QueueJournal& journal, TaskId task) {
  const auto slot = journal.find(task);
  return slot ? journal.word(*slot).state : S::free;
}

// Two tasks are given up, of which only one has room among the letters; the other is requeued and done.
struct Known {
  S first = S::given_up, second = S::given_up;
  std::uint64_t dropped = 0;
  friend bool operator==(const Known&, const Known&) = default;
};
constexpr Known known_after[] = {
    {S::given_up, S::given_up, 0},  //
    {S::letter, S::given_up, 0},    // the first is set aside
    {S::free, S::letter, 1},        // the second takes its place
    {S::free, S::requeued, 1},      // by the brain
    {S::free, S::pending, 1},       // it is back
    {S::free, S::free, 1},          // and over
};
constexpr Known between_drop_and_letter{S::free, S::given_up, 1};
constexpr std::size_t steps = std::size(known_after) - 1;

class Letters final : public Operation {
 public:
  Letters() : memory_(QueueJournal::create("swept", shape).value()) {
    QueueJournal journal = take_over(memory_);
    for (int i = 0; i < 2; ++i) {
      const auto slot = journal.push(text).value();
      die_over(journal, slot);
      hear_all(journal, slot);
    }
  }
  void enter(int) override {
    journal_.emplace(take_over(memory_));
    brain_.emplace(QueueLetters::map(memory_.get()).value());
  }

  void act(int) override {
    for (std::size_t step = 1; step <= steps; ++step) {
      carry_out(step);
      progress_->done = step;
    }
  }

  void check(Verdict& verdict) override {
    const std::size_t done = progress_->done;
    {
      auto taken = QueueJournal::take_over(base::duplicate(memory_.get()).value(), limits);
      if (!verdict.expect(taken.has_value(), "the successor refuses the journal")) return;
      const Known found{state_of(*taken, 1), state_of(*taken, 2), taken->dropped()};
      const bool before = found == known_after[done];
      const bool after = done < steps && found == known_after[done + 1];
      const bool between = done == 1 && found == between_drop_and_letter;
      verdict.expect(before || after || between,
                     "the journal is between two states, after step " + std::to_string(done));
      verdict.expect(taken->given_up() == 2, "(J6) a task is counted twice, or not");
    }
    if (done >= 2) ask_again(verdict, done);
  }

 private:
  struct Progress {
    std::atomic<std::size_t> done;
  };

  void carry_out(std::size_t step) {
    switch (step) {
      case 1: journal_->set_aside(*journal_->find(1)); break;
      case 2: journal_->set_aside(*journal_->find(2)); break;
      case 3: static_cast<void>(brain_->requeue(2, operation)); break;
      case 4:
        brain_->ring();
        journal_->readmit();
        break;
      case 5: journal_->finish(*journal_->find(2)); break;
      default: give_up("sweep: a step of dead letters that there is not");
    }
  }

  // The operator's client does, and a new dispatcher carries it out.
  void ask_again(Verdict& verdict, std::size_t done) {
    auto next_brain = QueueLetters::map(memory_.get()).value();
    const auto how = next_brain.requeue(2, operation);
    next_brain.ring();
    QueueJournal next = take_over(memory_);
    next.readmit();
    const bool is_over = how == QueueLetters::Requeue::unknown;
    verdict.expect(!is_over || done >= 4,
                   "a requeue that did not happen cannot be asked for again");
    verdict.expect(state_of(next, 2) == (is_over ? S::free : S::pending),
                   "(J7) a requeued task is not back, or not over");
    verdict.expect(next.count() == (is_over ? 0U : 1U), "(J2) a requeued task is there twice");
    if (is_over) return;
    const auto slot = *next.find(2);
    verdict.expect(next.word(slot).blamed == 0, "a requeued task has no fresh attempts");
    const auto bytes = next.message(slot);
    verdict.expect(bytes.size() == ipc::queue_frame_bytes + text.size() &&
                       bytes[ipc::queue_frame_bytes] == text[0],
                   "(J1) the bytes of a requeued task are not its own");
  }

  base::UniqueFd memory_;
  std::optional<QueueJournal> journal_;
  std::optional<QueueLetters> brain_;
  Shared<Progress> progress_;
};

// Both masters of one letter at once: the dispatcher has to drop it, the brain requeues it. One is stopped, or
// killed, at every point; the other does its part meanwhile, or after the death.
enum class Victim { dispatcher, brain };

class Masters final : public Operation {
 public:
  explicit Masters(Victim victim)
      : victim_(victim), memory_(QueueJournal::create("swept", shape).value()) {
    QueueJournal journal = take_over(memory_);
    for (TaskId task = 1; task <= 2; ++task) {
      const auto slot = journal.push(text).value();
      die_over(journal, slot);
      hear_all(journal, slot);
      if (task == 1) journal.set_aside(slot);
    }
  }
  void enter(int) override { open(victim_); }
  void act(int) override { do_the_part_of(victim_); }
  void work_beside(Verdict&) override {
    const Victim other = victim_ == Victim::brain ? Victim::dispatcher : Victim::brain;
    open(other);
    do_the_part_of(other);
  }
  void check(Verdict& verdict) override {
    QueueJournal next = take_over(memory_);
    next.readmit();
    const S first = state_of(next, 1);
    const int how = answered_->how;
    const bool done = how == static_cast<int>(QueueLetters::Requeue::done) + 1;
    const bool refused = how == static_cast<int>(QueueLetters::Requeue::unknown) + 1;
    verdict.expect(!done || first == S::pending, "(J7) what was requeued is not back");
    verdict.expect(!refused || first == S::free, "(J7) what was refused is not gone");
    verdict.expect(first == S::free || first == S::pending || first == S::letter,
                   "(J7) a letter is neither there, nor back, nor gone");
    const bool gone = first == S::free, other_gone = state_of(next, 2) == S::free;
    verdict.expect(next.dropped() == (gone ? 1U : 0U) + (other_gone ? 1U : 0U),
                   "(J6) what was dropped is not counted once");
  }

 private:
  struct Answer {
    std::atomic<int> how;
  };

  void open(Victim who) {
    if (who == Victim::dispatcher) journal_.emplace(take_over(memory_));
    if (who == Victim::brain) brain_.emplace(QueueLetters::map(memory_.get()).value());
  }
  void do_the_part_of(Victim who) {
    if (who == Victim::dispatcher) return journal_->set_aside(*journal_->find(2));
    answered_->how = static_cast<int>(brain_->requeue(1, operation)) + 1;
  }

  const Victim victim_;
  base::UniqueFd memory_;
  std::optional<QueueJournal> journal_;
  std::optional<QueueLetters> brain_;
  Shared<Answer> answered_;
};

}  // namespace

Rows queue_letters() {
  return {{"queue.letters", [] { return std::make_unique<Letters>(); }},
          {.name = "queue.letters.drops_beside_the_brain",
           .begin = [] { return std::make_unique<Masters>(Victim::dispatcher); },
           .paused = true},
          {.name = "queue.letters.requeues_beside_the_dispatcher",
           .begin = [] { return std::make_unique<Masters>(Victim::brain); },
           .paused = true}};
}

}  // namespace bulkhead::sweep
