// The journal of a queue: what each transition leaves, what a successor makes of every state in which a
// dispatcher can have been killed, and of what no dispatcher writes.
#include <sys/mman.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "ipc/end_page.hpp"
#include "ipc/queue_journal_view.hpp"
#include "tests/support/journal_memory.hpp"

namespace bulkhead::ipc {
namespace {

TEST_F(Journal, keeps_tasks_and_their_numbers_for_a_successor) {
  {
    QueueJournal first = take_over();
    EXPECT_EQ(first.pushed(), 0U);
    push(first, "one");
    push(first, "");
    EXPECT_EQ(first.task(push(first, "three")), 3U);
    first.finish(*first.find(2));
  }
  QueueJournal second = take_over();
  EXPECT_EQ(second.pushed(), 3U);
  ASSERT_EQ(second.tasks().size(), 2U);
  EXPECT_EQ(text_of(second, *second.find(1)), "one");
  EXPECT_EQ(text_of(second, *second.find(3)), "three");
  EXPECT_EQ(second.find(2), std::nullopt);
  EXPECT_EQ(second.task(push(second, "four")), 4U);
}

TEST_F(Journal, has_no_task_whose_push_was_killed_before_its_commit) {
  QueueJournal first = take_over();
  const SlotIndex slot = push(first, "committed");
  raw(slot + 1).task = 2;
  raw(slot + 1).offset = 128;
  raw(slot + 1).bytes = 64;
  QueueJournal second = take_over();
  EXPECT_EQ(second.tasks(), std::vector<SlotIndex>{slot});
  EXPECT_EQ(second.task(push(second, "next")), 2U);
}

TEST_F(Journal, counts_a_task_whose_push_was_killed_right_after_its_commit) {
  QueueJournal first = take_over();
  push(first, "one");
  push(first, "two");
  page().pushed = 1;
  QueueJournal second = take_over();
  EXPECT_EQ(second.pushed(), 2U);
  EXPECT_EQ(page().pushed, 2U);
  EXPECT_EQ(second.task(push(second, "three")), 3U);
}

TEST_F(Journal, is_full_when_its_bytes_are_and_has_room_again_when_any_task_is_over) {
  QueueJournal journal = take_over();
  const std::string half(32'000, 'x');
  const SlotIndex first = push(journal, half);
  const SlotIndex second = push(journal, half);
  const auto third = journal.push(as_bytes(half));
  ASSERT_FALSE(third);
  EXPECT_TRUE(third.error().is(Errc::would_block));
  journal.finish(second);
  EXPECT_TRUE(journal.push(as_bytes(half)));
  journal.finish(first);
  EXPECT_TRUE(journal.push(as_bytes("small")));
}

TEST_F(Journal, is_full_when_its_slots_are) {
  QueueJournal journal = take_over();
  for (std::uint32_t i = 0; i < shape.slots; ++i) ASSERT_TRUE(journal.push({})) << i;
  EXPECT_TRUE(journal.push({}).error().is(Errc::would_block));
  QueueJournal successor = take_over();
  EXPECT_EQ(successor.count(), shape.slots);
  EXPECT_TRUE(successor.push({}).error().is(Errc::would_block));
}

TEST_F(Journal, gives_a_task_up_when_it_is_blamed_for_the_last_time) {
  QueueJournal journal = take_over();
  const SlotIndex task = push(journal, "poison"), other = push(journal, "innocent");
  for (std::uint16_t death = 1; death <= 3; ++death) {
    journal.deal(task, 1, death, death);
    journal.deal(other, 1, death, death + 10U);
    journal.start(task);
    EXPECT_EQ(journal.return_blamed(task, death), death < 3);
    journal.return_unblamed(other);
  }
  EXPECT_EQ(journal.word(task).state, TaskState::given_up);
  EXPECT_EQ(journal.word(task).blamed, 3);
  EXPECT_EQ(journal.word(other), (TaskWord{.state = TaskState::pending}));
  EXPECT_EQ(journal.given_up(), 1U);
  const auto view = QueueJournalView::map(fd.get()).value();
  EXPECT_EQ(view.given_up_by(1), 1U);
  EXPECT_EQ(view.given_up_by(0), 0U);
  EXPECT_EQ(view.given_up_by(99), 0U);
  EXPECT_EQ(view.pushed(), 2U);
  EXPECT_EQ(view.outstanding(), 2U);
}

TEST_F(Journal, counts_a_given_up_task_once_wherever_its_dispatcher_was_killed) {
  {
    QueueJournal first = take_over();
    for (const char* text : {"a", "b", "c"}) push(first, text);
  }
  const TaskWord over{.state = TaskState::given_up, .blamed = 3, .worker = 2, .epoch = 7};
  raw(0).aside = 1;
  set(0, over);  // killed before the tally
  EXPECT_EQ(take_over().given_up(), 1U);
  EXPECT_EQ(unpack_task(raw(0).word).flags, task_counted);

  raw(1).aside = 2;
  set(1, over);  // killed after the tally, before the slot says so
  store_twin(tally(2).given_up, 2, 2);
  EXPECT_EQ(take_over().given_up(), 2U);
  EXPECT_EQ(unpack_task(raw(1).word).flags, task_counted);

  EXPECT_EQ(take_over().given_up(), 2U) << "a successor that finds nothing to finish";
}

TEST_F(Journal, keeps_what_is_known_of_a_task_that_is_given_up) {
  QueueJournal journal = take_over();
  push(journal, "a");
  set(0,
      {.state = TaskState::given_up, .flags = task_counted, .blamed = 3, .worker = 2, .epoch = 7});
  journal.mark(0, task_told);
  journal.mark(0, task_seen);
  EXPECT_EQ(take_over().word(0).flags, task_counted | task_told | task_seen);
  QueueJournal successor = take_over();
  successor.set_aside(0);
  EXPECT_EQ(successor.count(), 0U);
  EXPECT_EQ(take_over().count(), 0U);
}

// Each breaks one invariant of a journal with three tasks: dealt, started and pending.
struct Damage {
  const char* name;
  std::function<void(TaskSlot* slots)> apply;
};
class DamagedJournal : public Journal, public testing::WithParamInterface<Damage> {};

TEST_P(DamagedJournal, is_refused_by_the_slot) {
  {
    QueueJournal first = take_over();
    for (const char* text : {"dealt", "started", "pending"}) push(first, text);
    first.deal(0, 1, 4, 1);
    first.deal(1, 1, 4, 2);
    first.start(1);
    ASSERT_TRUE(try_take_over());
  }
  GetParam().apply(&raw(0));
  const auto taken = try_take_over();
  ASSERT_FALSE(taken);
  EXPECT_TRUE(taken.error().is(Errc::protocol_violation)) << taken.error().to_string();
  EXPECT_NE(taken.error().context.find("slot "), std::string::npos) << taken.error().context;
}

void poke(TaskSlot& slot, TaskWord word) { slot.word = pack(word); }

INSTANTIATE_TEST_SUITE_P(
    Ways, DamagedJournal,
    testing::Values(
        Damage{"no_state", [](TaskSlot* s) { s[2].word = std::uint64_t{99} << 56; }},
        Damage{"letter_without_blame",
               [](TaskSlot* s) { poke(s[2], {.state = TaskState::letter, .epoch = 4}); }},
        Damage{"letter_outside",
               [](TaskSlot* s) {
                 s[2].aside = shape.letter_bytes();
                 poke(s[2], {.state = TaskState::letter, .blamed = 3, .worker = 1, .epoch = 4});
               }},
        Damage{"letter_of_an_unknown_worker",
               [](TaskSlot* s) {
                 poke(s[2], {.state = TaskState::requeued, .blamed = 3, .worker = 9, .epoch = 4});
               }},
        Damage{"no_number", [](TaskSlot* s) { s[2].task = 0; }},
        Damage{"number_of_the_future", [](TaskSlot* s) { s[2].task = 5; }},
        Damage{"number_twice", [](TaskSlot* s) { s[2].task = 1; }},
        Damage{"bytes_of_another", [](TaskSlot* s) { s[2].offset = s[1].offset.load(); }},
        Damage{"bytes_outside", [](TaskSlot* s) { s[2].offset = shape.payload_bytes; }},
        Damage{"bytes_without_a_frame", [](TaskSlot* s) { s[2].bytes = queue_frame_bytes - 1; }},
        Damage{"bytes_beyond_a_message", [](TaskSlot* s) { s[2].bytes = limits.message_max + 1; }},
        Damage{"bytes_without_end", [](TaskSlot* s) { s[2].bytes = ~std::uint64_t{0}; }},
        Damage{"blamed_too_often",
               [](TaskSlot* s) { poke(s[2], {.state = TaskState::pending, .blamed = 3}); }},
        Damage{"given_up_without_blame",
               [](TaskSlot* s) { poke(s[2], {.state = TaskState::given_up, .epoch = 4}); }},
        Damage{
            "unknown_worker",
            [](TaskSlot* s) { poke(s[2], {.state = TaskState::dealt, .worker = 3, .epoch = 4}); }},
        Damage{"given_up_by_an_unknown_worker",
               [](TaskSlot* s) {
                 poke(s[2], {.state = TaskState::given_up, .blamed = 3, .worker = 9, .epoch = 4});
               }},
        Damage{"no_epoch",
               [](TaskSlot* s) { poke(s[2], {.state = TaskState::dealt, .worker = 1}); }},
        Damage{
            "worker_of_two_lives",
            [](TaskSlot* s) { poke(s[2], {.state = TaskState::dealt, .worker = 1, .epoch = 5}); }},
        Damage{"two_begun",
               [](TaskSlot* s) {
                 poke(s[2], {.state = TaskState::started, .worker = 1, .epoch = 4});
               }}),
    [](const auto& each) { return std::string(each.param.name); });

TEST_F(Journal, may_hold_answered_tasks_of_earlier_lives) {
  {
    QueueJournal first = take_over();
    for (const char* text : {"a", "b", "c"}) push(first, text);
  }
  set(0, {.state = TaskState::answered, .worker = 1, .epoch = 3});
  set(1, {.state = TaskState::answered, .worker = 1, .epoch = 4});
  set(2, {.state = TaskState::started, .worker = 1, .epoch = 5});
  EXPECT_TRUE(try_take_over());
}

TEST_F(Journal, is_refused_with_another_header) {
  page().header.magic = 1;
  EXPECT_TRUE(try_take_over().error().is(Errc::protocol_violation));
  page().header.magic = JournalHeader::magic_value;
  page().header.version = 99;
  EXPECT_TRUE(try_take_over().error().is(Errc::version_mismatch));
  page().header.version = JournalHeader::version_value;
  page().header.slots = shape.slots + 128;
  EXPECT_TRUE(try_take_over().error().is(Errc::protocol_violation));
  page().header.slots = shape.slots;
  EXPECT_TRUE(try_take_over());
}

TEST_F(Journal, is_refused_when_it_is_no_journal) {
  auto empty = base::make_memfd("empty", false).value();
  EXPECT_TRUE(QueueJournal::take_over(base::duplicate(empty.get()).value(), limits)
                  .error()
                  .is(Errc::protocol_violation));
  ASSERT_EQ(::ftruncate(empty.get(), 100), 0);
  EXPECT_TRUE(QueueJournalView::map(empty.get()).error().is(Errc::protocol_violation));
}

TEST_F(Journal, cannot_change_its_size) {
  EXPECT_NE(::ftruncate(fd.get(), 4096), 0);
  EXPECT_NE(::ftruncate(fd.get(), static_cast<off_t>(shape.total_bytes() * 2)), 0);
}

}  // namespace
}  // namespace bulkhead::ipc
