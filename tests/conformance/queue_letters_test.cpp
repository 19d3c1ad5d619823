// A queue whose dead letters an operator requeues, with every death in between: the task is in play once more,
// with fresh attempts, once.
#include "ipc/queue_letters.hpp"
#include "tests/conformance/queue_stage.hpp"

namespace bulkhead::test {
namespace {

using Requeue = ipc::QueueLetters::Requeue;

class RequeuedTask : public QueueStage {
 protected:
  // One attempt: its first worker dies over it, and the program is told.
  void make_letter() {
    start_all(1, 1);
    push("poison");
    die_over_task(0);
    ASSERT_EQ(next(), "1=quarantined");
    turn();
  }
  Requeue requeue(TaskId task) {
    auto letters = ipc::QueueLetters::map(journal.get()).value();
    const auto how = letters.requeue(task, 0);
    letters.ring();
    return how;
  }
  std::size_t kept() { return ipc::QueueLetters::map(journal.get()).value().list().size(); }
  void come_again(std::size_t which) {
    start_worker(which);
    greet(which);
  }
};

TEST_P(RequeuedTask, is_done_and_over_once_more) {
  make_letter();
  EXPECT_EQ(dispatcher->stats().dead_letters, 1U);
  EXPECT_EQ(dispatcher->stats().outstanding, 0U);
  EXPECT_EQ(requeue(1), Requeue::done);
  turn();
  EXPECT_EQ(dispatcher->stats().dead_letters, 0U);
  EXPECT_EQ(dispatcher->stats().outstanding, 1U);
  come_again(0);
  auto task = lease(0);
  EXPECT_EQ(task.task(), 1U);
  EXPECT_EQ(task.attempt(), 1U) << "fresh attempts";
  EXPECT_EQ(text_of(task.bytes()), "poison");
  ASSERT_TRUE(task.complete(as_bytes("cured"), soon()));
  EXPECT_EQ(next(), "1=cured");
  EXPECT_EQ(next(), "nothing");
  EXPECT_EQ(push("next"), 2U);
}

// A letter keeps its slot, so a full queue reaches into those that the letters add.
TEST_P(RequeuedTask, leaves_room_for_as_many_tasks_as_ever_while_it_is_a_letter) {
  make_letter();
  come_again(0);
  std::size_t pushed = 0;
  while (dispatcher->try_push(as_bytes("more"))) ++pushed;
  EXPECT_EQ(pushed, ipc::JournalShape::of(capacity, 1).slots);
  for (std::size_t task = 2; task < pushed + 2; ++task) {
    complete(0, "done");
    ASSERT_EQ(next(), std::to_string(task) + "=done");
  }
  EXPECT_EQ(dispatcher->stats().outstanding, 0U);
  EXPECT_EQ(dispatcher->stats().stale, 0U);
}

TEST_P(RequeuedTask, is_found_by_the_next_dispatcher) {
  make_letter();
  kill_dispatcher();
  EXPECT_EQ(requeue(1), Requeue::done);
  EXPECT_EQ(requeue(1), Requeue::unknown);
  start_dispatcher();
  come_again(0);
  complete(0, "cured");
  EXPECT_EQ(next(), "1=cured");
  restart_dispatcher();
  EXPECT_EQ(next(), "nothing");
  EXPECT_EQ(dispatcher->stats().outstanding, 0U);
}

TEST_P(RequeuedTask, that_fails_again_is_a_letter_again_and_told_again) {
  make_letter();
  requeue(1);
  come_again(0);
  die_over_task(0);
  EXPECT_EQ(next(), "1=quarantined");
  turn();
  EXPECT_EQ(kept(), 1U);
  ASSERT_EQ(desk->reports.size(), 2U);
  EXPECT_EQ(desk->reports[0].task, desk->reports[1].task);
  EXPECT_NE(desk->reports[0].since_ns, desk->reports[1].since_ns)
      << "two events, not one told twice";
  EXPECT_EQ(dispatcher->stats().quarantined, 2U);
}

TEST_P(RequeuedTask, is_none_while_the_program_holds_its_completion) {
  start_all(1, 1);
  push("poison");
  die_over_task(0);
  auto told = take();
  EXPECT_TRUE(told.quarantined());
  turn();
  EXPECT_EQ(requeue(1), Requeue::not_taken);
  told.release();
  restart_dispatcher();
  EXPECT_EQ(requeue(1), Requeue::not_taken);
  EXPECT_EQ(next(), "1=quarantined");
  turn();
  EXPECT_EQ(requeue(1), Requeue::done);
}

TEST_P(RequeuedTask, is_none_while_nobody_has_noted_it) {
  desk->notes = false;
  make_letter();
  EXPECT_EQ(requeue(1), Requeue::not_taken);
  desk->notes = true;
  turn();
  EXPECT_EQ(requeue(1), Requeue::done);
}

// What a worker says of the deal before the requeue is about another life of the task.
TEST_P(RequeuedTask, does_not_hear_what_was_said_before) {
  start_all(2, 1);
  push("poison");
  auto first = lease(0);
  // It is taken for dead, with its lease; what it has committed is read before.
  forgotten.push_back(std::make_unique<Lease>(std::move(first)));
  kill_worker(0);
  turn();
  EXPECT_EQ(next(), "1=quarantined");
  turn();
  EXPECT_EQ(requeue(1), Requeue::done);
  complete(1, "by another");
  come_again(0);
  EXPECT_FALSE(try_lease(0)) << "its predecessor's copy of the task is none of its own";
  EXPECT_EQ(next(), "1=by another");
  EXPECT_EQ(dispatcher->stats().outstanding, 0U);
}

TEST_P(RequeuedTask, of_a_full_queue_comes_before_what_is_pushed_later) {
  start_all(1, 1);
  push(std::string(message_max, 'p'));
  die_over_task(0);
  ASSERT_EQ(next(), "1=quarantined");
  turn();
  std::size_t pushed = 0;
  while (dispatcher->try_push(as_bytes(std::string(message_max, 'x')))) ++pushed;
  ASSERT_GT(pushed, 2U);
  EXPECT_EQ(requeue(1), Requeue::done);
  EXPECT_TRUE(dispatcher->try_push(as_bytes("small")).error().is(Errc::would_block));
  come_again(0);
  complete(0, "room");
  EXPECT_NE(next(), "nothing");
  turn();
  EXPECT_EQ(dispatcher->stats().dead_letters, 0U);
  EXPECT_EQ(kept(), 0U);
}

BULKHEAD_OVER_ALL_TRANSPORTS(RequeuedTask);

}  // namespace
}  // namespace bulkhead::test
