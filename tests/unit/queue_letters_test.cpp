// Dead letters: what is kept of a task that is given up, who may put it back into play and how often, what
// goes when there is no room, and what a successor makes of a death in between.
#include <optional>
#include <string>
#include <vector>

#include "ipc/end_page.hpp"
#include "ipc/queue_journal_view.hpp"
#include "ipc/queue_letters.hpp"
#include "tests/support/journal_memory.hpp"

namespace bulkhead::ipc {
namespace {

using Requeue = QueueLetters::Requeue;

class DeadLetters : public Journal {
 protected:
  // All that befalls a task over which three workers die.
  static void give_up(QueueJournal& journal, SlotIndex slot, std::uint64_t now_ns,
                      std::uint16_t worker = 1) {
    for (std::uint16_t death = 1; death <= limits.max_attempts; ++death) {
      journal.deal(slot, worker, death, death);
      journal.start(slot);
      static_cast<void>(journal.return_blamed(slot, now_ns));
    }
  }
  static void hear_all(QueueJournal& journal, SlotIndex slot) {
    journal.mark(slot, task_told);
    journal.mark(slot, task_seen);
    journal.set_aside(slot);
  }
  TaskId kill_with(QueueJournal& journal, std::string_view text, std::uint64_t now_ns) {
    const SlotIndex slot = push(journal, text);
    const TaskId task = journal.task(slot);
    give_up(journal, slot, now_ns);
    hear_all(journal, slot);
    return task;
  }
  QueueLetters letters() { return QueueLetters::map(fd.get()).value(); }
  std::vector<TaskId> listed() {
    std::vector<TaskId> tasks;
    for (const auto& letter : letters().list()) tasks.push_back(letter.task);
    return tasks;
  }
  // As the brain does it, the answer included.
  Requeue requeue(TaskId task, std::uint64_t operation = 0) {
    auto mine = letters();
    const auto how = mine.requeue(task, operation);
    mine.ring();
    return how;
  }
};

TEST_F(DeadLetters, keep_what_an_operator_wants_to_know) {
  QueueJournal journal = take_over();
  push(journal, "fine");
  kill_with(journal, "poison", 12'345);
  const auto kept = letters().list();
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].task, 2U);
  EXPECT_EQ(kept[0].attempts, 3U);
  EXPECT_EQ(kept[0].worker, 1U);
  EXPECT_EQ(kept[0].since_ns, 12'345U);
  EXPECT_EQ(kept[0].bytes, 6U);
  EXPECT_TRUE(kept[0].taken);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(kept[0].head.data()), kept[0].head.size()),
            "poison");
  EXPECT_EQ(journal.count(), 1U);
  EXPECT_EQ(journal.letters(), 1U);
  EXPECT_EQ(QueueJournalView::map(fd.get()).value().outstanding(), 1U) << "a letter is over";
}

TEST_F(DeadLetters, outlive_every_dispatcher) {
  {
    QueueJournal first = take_over();
    kill_with(first, "poison", 1);
  }
  QueueJournal second = take_over();
  EXPECT_EQ(second.letters(), 1U);
  EXPECT_EQ(second.count(), 0U);
  EXPECT_EQ(listed(), std::vector<TaskId>{1});
  EXPECT_EQ(second.task(push(second, "next")), 2U);
}

TEST_F(DeadLetters, leave_their_room_to_tasks) {
  QueueJournal journal = take_over();
  const std::string large(32'000, 'x');
  for (std::uint64_t i = 0; i < 8; ++i) kill_with(journal, large, i);
  EXPECT_TRUE(journal.push(as_bytes(large)));
  EXPECT_TRUE(journal.push(as_bytes(large)));
  for (std::uint32_t i = 0; i < shape.slots; ++i) static_cast<void>(journal.push({}));
  EXPECT_EQ(take_over().count(), journal.count());
}

TEST_F(DeadLetters, come_back_once_with_fresh_attempts_and_their_bytes) {
  QueueJournal journal = take_over();
  kill_with(journal, "poison", 1);
  EXPECT_TRUE(journal.readmit().empty());
  EXPECT_EQ(requeue(1), Requeue::done);
  EXPECT_EQ(requeue(1), Requeue::unknown) << "it is no letter any more";
  const auto back = journal.readmit();
  ASSERT_EQ(back.size(), 1U);
  EXPECT_EQ(journal.word(back[0]), (TaskWord{.state = TaskState::pending}));
  EXPECT_EQ(journal.task(back[0]), 1U);
  EXPECT_EQ(text_of(journal, back[0]), "poison");
  EXPECT_EQ(journal.count(), 1U);
  EXPECT_EQ(journal.letters(), 0U);
  EXPECT_TRUE(journal.readmit().empty());
  journal.finish(back[0]);
  EXPECT_EQ(requeue(1), Requeue::unknown);
  EXPECT_EQ(take_over().count(), 0U);
}

TEST_F(DeadLetters, that_were_requeued_and_given_up_again_are_counted_again) {
  QueueJournal journal = take_over();
  kill_with(journal, "poison", 1);
  requeue(1);
  const auto back = journal.readmit();
  ASSERT_EQ(back.size(), 1U);
  give_up(journal, back[0], 2);
  hear_all(journal, back[0]);
  EXPECT_EQ(journal.given_up(), 2U) << "by the same worker, with no other task in between";
  EXPECT_EQ(take_over().given_up(), 2U);
  EXPECT_EQ(letters().list().at(0).since_ns, 2U);
}

TEST_F(DeadLetters, are_requeued_without_a_dispatcher_and_found_by_the_next) {
  {
    QueueJournal first = take_over();
    kill_with(first, "poison", 1);
  }
  EXPECT_EQ(letters().requeue(1, 0), Requeue::done) << "and the brain dies before it rings";
  QueueJournal second = take_over();
  EXPECT_EQ(second.readmit().size(), 1U);
}

TEST_F(DeadLetters, are_found_when_the_next_brain_rings) {
  QueueJournal journal = take_over();
  kill_with(journal, "poison", 1);
  EXPECT_EQ(letters().requeue(1, 0), Requeue::done);
  EXPECT_TRUE(journal.readmit().empty());
  letters().ring();
  EXPECT_EQ(journal.readmit().size(), 1U);
}

TEST_F(DeadLetters, are_requeued_once_by_a_request_that_is_made_again) {
  constexpr std::uint64_t operation = 0x1234'5678;
  QueueJournal journal = take_over();
  kill_with(journal, "poison", 1);
  EXPECT_EQ(requeue(1, operation), Requeue::done);
  EXPECT_EQ(requeue(1, operation), Requeue::repeated) << "requeued";
  const auto back = journal.readmit();
  ASSERT_EQ(back.size(), 1U);
  EXPECT_EQ(requeue(1, operation), Requeue::repeated) << "pending";
  give_up(journal, back[0], 2);
  EXPECT_EQ(requeue(1, operation), Requeue::repeated) << "given up";
  hear_all(journal, back[0]);
  EXPECT_EQ(requeue(1, operation), Requeue::repeated) << "a letter again";
  EXPECT_TRUE(journal.readmit().empty());
  EXPECT_EQ(requeue(1, operation + 2), Requeue::done) << "somebody else asks";
  EXPECT_EQ(journal.readmit().size(), 1U);
}

// Killed after it had written who asks, and before the word.
TEST_F(DeadLetters, are_requeued_by_a_request_that_is_made_again_because_its_brain_died) {
  constexpr std::uint64_t operation = 0x1234'5678;
  QueueJournal journal = take_over();
  kill_with(journal, "poison", 1);
  raw(0).operation = operation;
  EXPECT_EQ(requeue(1, operation), Requeue::done);
  EXPECT_EQ(journal.readmit().size(), 1U);
}

TEST_F(DeadLetters, are_not_requeued_before_their_program_has_let_go_of_them) {
  QueueJournal journal = take_over();
  const SlotIndex slot = push(journal, "poison");
  EXPECT_EQ(requeue(1), Requeue::unknown);
  give_up(journal, slot, 1);
  EXPECT_EQ(requeue(1), Requeue::not_taken);
  ASSERT_EQ(letters().list().size(), 1U);
  EXPECT_FALSE(letters().list()[0].taken);
  hear_all(journal, slot);
  EXPECT_EQ(requeue(1), Requeue::done);
}

TEST_F(DeadLetters, of_a_successor_are_what_its_predecessor_was_killed_in) {
  std::optional<QueueJournal> first(take_over());
  push(*first, "poison");
  give_up(*first, 0, 1);
  first->mark(0, task_told);
  first->mark(0, task_seen);
  first.reset();
  raw(0).aside = 4096;  // the bytes were copied, the word was not stored
  QueueJournal second = take_over();
  ASSERT_EQ(second.word(0).state, TaskState::given_up);
  EXPECT_EQ(second.given_up(), 1U) << "what lies aside is no tally once it is counted";
  second.set_aside(0);
  EXPECT_EQ(listed(), std::vector<TaskId>{1});
}

TEST_F(DeadLetters, that_there_is_no_room_for_make_the_oldest_go_and_are_counted) {
  QueueJournal journal = take_over();
  for (TaskId task = 1; task <= shape.letters() + 2U; ++task) kill_with(journal, "x", task);
  EXPECT_EQ(journal.letters(), shape.letters());
  EXPECT_EQ(listed().front(), 3U);
  EXPECT_EQ(listed().back(), shape.letters() + 2U);
  EXPECT_EQ(journal.dropped(), 2U);
  EXPECT_EQ(letters().dropped().count, 2U);
  EXPECT_EQ(letters().dropped().last, 2U);
  EXPECT_EQ(requeue(2), Requeue::unknown);
  EXPECT_EQ(take_over().dropped(), 2U);
}

TEST_F(DeadLetters, that_are_large_make_as_many_go_as_it_takes) {
  QueueJournal journal = take_over();
  for (TaskId task = 1; task <= 4; ++task) kill_with(journal, std::string(8'000, 'x'), task);
  kill_with(journal, std::string(20'000, 'y'), 5);
  EXPECT_EQ(listed(), (std::vector<TaskId>{4, 5}));
  EXPECT_EQ(journal.dropped(), 3U);
}

TEST_F(DeadLetters, are_dropped_once_wherever_their_dispatcher_was_killed) {
  std::optional<QueueJournal> first(take_over());
  kill_with(*first, "a", 1);
  kill_with(*first, "b", 2);
  first.reset();
  const TaskWord dropped{.state = TaskState::dropped, .blamed = 3, .worker = 1, .epoch = 3};
  set(0, dropped);  // killed before the count
  EXPECT_EQ(take_over().dropped(), 1U);
  EXPECT_EQ(unpack_task(raw(0).word).state, TaskState::free);
  set(1, dropped);  // killed after the count, before the slot is free
  store_twin(page().dropped, 2, 2);
  EXPECT_EQ(take_over().dropped(), 2U);
  EXPECT_EQ(take_over().dropped(), 2U);
  EXPECT_EQ(listed(), std::vector<TaskId>{});
}

// One master wins: what the brain requeued is not dropped to make room, and what was dropped not requeued.
TEST_F(DeadLetters, that_are_requeued_are_not_dropped) {
  QueueJournal journal = take_over();
  for (TaskId task = 1; task <= shape.letters(); ++task) kill_with(journal, "x", task);
  EXPECT_EQ(letters().requeue(1, 0), Requeue::done);  // and nobody has rung yet
  kill_with(journal, "y", 1000);
  EXPECT_EQ(letters().dropped().last, 2U) << "the oldest that is still a letter";
  letters().ring();
  const auto back = journal.readmit();
  ASSERT_EQ(back.size(), 1U);
  EXPECT_EQ(journal.task(back[0]), 1U);
}

TEST_F(DeadLetters, that_are_requeued_while_the_queue_is_full_wait_and_go_before_what_is_pushed) {
  QueueJournal journal = take_over();
  kill_with(journal, std::string(32'000, 'p'), 1);
  const SlotIndex first = push(journal, std::string(32'000, 'x'));
  push(journal, std::string(32'000, 'x'));
  requeue(1);
  EXPECT_TRUE(journal.readmit().empty());
  EXPECT_TRUE(journal.push(as_bytes("small")).error().is(Errc::would_block));
  QueueJournal successor = take_over();
  EXPECT_TRUE(successor.push(as_bytes("small")).error().is(Errc::would_block));
  successor.finish(first);
  EXPECT_EQ(successor.readmit().size(), 1U);
  EXPECT_TRUE(successor.push(as_bytes("small")));
}

TEST_F(DeadLetters, of_a_hostile_journal_are_read_within_its_bounds) {
  QueueJournal journal = take_over();
  kill_with(journal, "poison", 1);
  for (const std::uint64_t wild :
       {~std::uint64_t{0}, shape.letter_bytes(), std::uint64_t{1} << 63}) {
    raw(0).aside = wild;
    EXPECT_TRUE(letters().list().at(0).head.empty());
    raw(0).aside = 0;
    raw(0).bytes = wild;
    static_cast<void>(letters().list());
  }
}

}  // namespace
}  // namespace bulkhead::ipc
