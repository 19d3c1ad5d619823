// A queue whose ends die, in every order: what is done once more, who is blamed, and what comes again.
#include <set>

#include "ipc/queue_journal_view.hpp"

#include "tests/conformance/queue_stage.hpp"

namespace bulkhead::test {
namespace {

class QueueDeath : public QueueStage {};

TEST_P(QueueDeath, blames_the_task_that_was_begun_and_no_other) {
  start_all(1);
  for (const char* text : {"a", "b", "c"}) push(text);
  EXPECT_EQ(die_over_task(0), (std::pair<TaskId, std::uint32_t>{1, 1}));
  start_worker(0);
  greet(0);
  for (TaskId expected = 1; expected <= 3; ++expected) {
    auto task = lease(0);
    EXPECT_EQ(task.task(), expected);
    EXPECT_EQ(task.attempt(), expected == 1 ? 2U : 1U);
    ASSERT_TRUE(task.complete({}, soon()));
  }
}

TEST_P(QueueDeath, of_an_idle_worker_blames_nobody) {
  start_all(1);
  push("a");
  turn();
  kill_worker(0);
  turn();
  start_worker(0);
  greet(0);
  EXPECT_EQ(lease(0).attempt(), 1U);
}

TEST_P(QueueDeath, gives_the_tasks_of_one_that_stays_dead_to_the_others) {
  start_all(2);
  for (int i = 0; i < 8; ++i) push("x");
  die_over_task(0);
  std::set<std::string> over;
  for (int i = 0; i < 8; ++i) {
    complete(1, "done");
    over.insert(next());
  }
  EXPECT_EQ(over.size(), 8U);
  EXPECT_EQ(dispatcher->stats().outstanding, 0U);
}

// What it had begun, been dealt, and answered: nobody will say any more of it.
TEST_P(QueueDeath, gives_the_tasks_of_one_that_the_queue_has_no_more_to_the_others) {
  for (const bool told : {false, true}) {
    brains.clear();
    workers.clear();
    start_all(2);
    for (int i = 0; i < 8; ++i) push("x");
    complete(1, "unheard");
    turn();
    forgotten.push_back(std::make_unique<Lease>(lease(1)));
    kill_dispatcher();
    kill_worker(1);
    brains.pop_back();
    workers_told = told ? 1 : 0;
    start_dispatcher();
    int over = 0;
    while (auto task = try_lease(0)) {
      EXPECT_EQ(task->attempt(), 1U);
      ASSERT_TRUE(task->complete(as_bytes("done"), soon()));
      if (next().ends_with("=done")) ++over;
    }
    EXPECT_EQ(over == 8, told) << over;
    EXPECT_EQ(dispatcher->stats().outstanding == 0, told);
    dispatcher.reset();
  }
}

TEST_P(QueueDeath, takes_nothing_back_from_a_worker_that_is_only_silent) {
  start_all(2);
  for (int i = 0; i < 8; ++i) push("x");
  const auto silent = lease(0);
  for (int i = 0; i < 4; ++i) {
    complete(1, "done");
    next();
  }
  for (int i = 0; i < 10; ++i) turn();
  EXPECT_FALSE(try_lease(1));
  EXPECT_EQ(dispatcher->stats().outstanding, 4U);
}

TEST_P(QueueDeath, gives_up_a_task_that_nobody_survives_while_all_others_are_done) {
  start_all(2);
  push("poison");
  for (int i = 0; i < 20; ++i) push("other");
  std::uint32_t deaths = 0;
  std::set<std::string> over;
  for (std::size_t round = 0; over.size() < 21 && round < 200; ++round) {
    const std::size_t who = round % 2;
    auto task = try_lease(who);
    if (task && text_of(task->bytes()) == "poison") {
      EXPECT_EQ(task->attempt(), ++deaths);
      forgotten.push_back(std::make_unique<Lease>(std::move(*task)));
      kill_worker(who);
      turn();
      start_worker(who);
      greet(who);
    } else if (task) {
      ASSERT_TRUE(task->complete(as_bytes("done"), soon()));
    }
    if (const auto what = next(); what != "nothing") over.insert(what);
  }
  EXPECT_EQ(deaths, 3U);
  EXPECT_EQ(over.size(), 21U);
  EXPECT_TRUE(over.contains("1=quarantined"));
  EXPECT_EQ(dispatcher->stats().quarantined, 1U);
  EXPECT_EQ(dispatcher->stats().outstanding, 0U);
}

TEST_P(QueueDeath, keeps_a_result_that_was_committed_before_it) {
  start_all(1);
  push("a");
  push("b");
  complete(0, "kept");
  die_over_task(0);
  EXPECT_EQ(next(), "1=kept");
  start_worker(0);
  greet(0);
  auto task = lease(0);
  EXPECT_EQ(task.task(), 2U);
  EXPECT_EQ(task.attempt(), 2U);
}

TEST_P(QueueDeath, of_the_dispatcher_loses_no_task_and_does_none_twice) {
  start_all(1);
  for (int i = 0; i < 10; ++i) push(std::to_string(i));
  complete(0, "before");
  auto running = lease(0);
  restart_dispatcher();
  EXPECT_EQ(dispatcher->stats().pushed, 10U);
  ASSERT_TRUE(running.complete(as_bytes("meanwhile"), soon()));
  std::vector<TaskId> begun;
  while (auto task = try_lease(0)) {
    EXPECT_EQ(task->attempt(), 1U);
    begun.push_back(task->task());
    ASSERT_TRUE(task->complete(as_bytes("after"), soon()));
  }
  EXPECT_EQ(begun, (std::vector<TaskId>{3, 4, 5, 6, 7, 8, 9, 10}));
  std::set<std::string> over;
  for (int i = 0; i < 10; ++i) over.insert(next());
  EXPECT_EQ(over.size(), 10U);
  EXPECT_TRUE(over.contains("1=before") && over.contains("2=meanwhile"));
  EXPECT_EQ(dispatcher->stats().outstanding, 0U);
  EXPECT_EQ(push("next"), 11U);
}

TEST_P(QueueDeath, of_the_dispatcher_gives_unacknowledged_completions_again_and_others_not) {
  start_all(1);
  push("a");
  push("b");
  complete(0, "1");
  complete(0, "2");
  EXPECT_EQ(next(), "1=1");
  {
    auto seen = take();
    EXPECT_FALSE(seen.redelivered());
    seen.release();
  }
  restart_dispatcher();
  auto again = take();
  EXPECT_EQ(again.task(), 2U);
  EXPECT_EQ(text_of(again.bytes()), "2");
  EXPECT_TRUE(again.redelivered());
  again.acknowledge();
  restart_dispatcher();
  EXPECT_EQ(next(), "nothing");
  EXPECT_EQ(dispatcher->stats().outstanding, 0U);
}

// A result may wait behind one that the program still holds: it must not be acknowledged before.
TEST_P(QueueDeath, of_the_dispatcher_keeps_the_order_in_which_results_are_acknowledged) {
  start_all(1);
  for (int i = 0; i < 3; ++i) push("x");
  for (const char* result : {"1", "2", "3"}) complete(0, result);
  auto first = take();
  EXPECT_EQ(next(), "2=2");
  EXPECT_EQ(next(), "3=3");
  first.release();
  restart_dispatcher();
  EXPECT_EQ(next(), "1=1");
  EXPECT_EQ(next(), "nothing");
}

TEST_P(QueueDeath, of_both_loses_nothing) {
  start_all(1);
  for (int i = 0; i < 5; ++i) push("x");
  complete(0, "r");
  const auto& held = forgotten.emplace_back(std::make_unique<Lease>(lease(0)));
  EXPECT_EQ(held->task(), 2U);
  kill_dispatcher();
  kill_worker(0);
  start_worker(0);
  start_dispatcher();
  greet(0);
  std::set<std::string> over{next()};
  for (int i = 0; i < 4; ++i) {
    auto task = lease(0);
    EXPECT_EQ(task.attempt(), task.task() == 2 ? 2U : 1U);
    ASSERT_TRUE(task.complete(as_bytes("r"), soon()));
    over.insert(next());
  }
  EXPECT_EQ(over, (std::set<std::string>{"1=r", "2=r", "3=r", "4=r", "5=r"}));
}

TEST_P(QueueDeath, of_both_again_and_again_loses_nothing) {
  start_all(2, 1000);
  for (int i = 0; i < 40; ++i) push("x");
  std::set<std::string> over;
  for (std::size_t round = 0; over.size() < 40 && round < 200; ++round) {
    const std::size_t who = round % 2;
    if (auto task = try_lease(who)) {
      ASSERT_TRUE(task->complete(as_bytes("r"), soon()));
    }
    if (const auto done = try_take()) {
      EXPECT_TRUE(over.insert(std::to_string(done->task())).second) << "twice: " << done->task();
    }
    if (round % 3 == 0) {
      kill_worker(who);
      start_worker(who);
    }
    if (round % 5 == 0) restart_dispatcher();
  }
  EXPECT_EQ(over.size(), 40U);
}

TEST_P(QueueDeath, between_journal_and_channel_deals_the_task_anew) {
  start_all(1);
  push("x");  // dealt
  kill_dispatcher();
  {
    auto left = ipc::QueueJournal::take_over(
                    base::duplicate(journal.get()).value(),
                    {.max_attempts = 3, .message_max = message_max + ipc::queue_frame_bytes})
                    .value();
    const auto slot = left.push(as_bytes("journal only")).value();
    // As its dispatcher leaves it when it dies before the message is sent.
    left.deal(slot, 0, 1, left.deal_of(*left.find(1)) + 1);
  }
  start_dispatcher();
  EXPECT_EQ(dispatcher->stats().outstanding, 2U);
  complete(0, "1");
  complete(0, "2");
  EXPECT_EQ(next(), "1=1");
  EXPECT_EQ(next(), "2=2");
}

TEST_P(QueueDeath, of_a_worker_that_wrote_over_its_answer_does_the_task_once_more) {
  start_all(1);
  push("x");
  complete(0, "lost");
  turn();
  kill_dispatcher();
  workers[0].reset();
  brains[0]->bury(ipc::Side::to);
  // Its successor finds nothing of the answer: the segment that held it is made a fresh one.
  brains[0] = nullptr;
  ChannelOptions options;
  options.capacity = capacity;
  options.max_message = message_max + ipc::queue_frame_bytes;
  brains[0] = std::make_unique<TestBrain>(GetParam(), options);
  for (int lives = 0; lives < 2; ++lives) {
    start_worker(0);
    if (lives == 0) kill_worker(0);
  }
  start_dispatcher();
  turn();
  greet(0);
  auto again = lease(0);
  EXPECT_EQ(again.task(), 1U);
  EXPECT_EQ(again.attempt(), 1U);
  ASSERT_TRUE(again.complete(as_bytes("found"), soon()));
  EXPECT_EQ(next(), "1=found");
}

TEST_P(QueueDeath, of_the_dispatcher_tells_of_given_up_tasks_until_that_is_noted) {
  desk->notes = false;
  start_all(1, 1);
  push("poison");
  die_over_task(0);
  EXPECT_EQ(next(), "1=quarantined");
  const auto kept = ipc::QueueJournalView::map(journal.get()).value();
  EXPECT_EQ(dispatcher->stats().outstanding, 0U) << "the program has nothing to wait for";
  EXPECT_EQ(kept.outstanding(), 1U) << "kept until the supervisor knows";
  restart_dispatcher();
  ASSERT_EQ(desk->reports.size(), 2U);
  EXPECT_EQ(desk->reports[0].task, desk->reports[1].task);
  EXPECT_EQ(next(), "nothing") << "it was let go of";
  desk->notes = true;
  turn();
  EXPECT_EQ(kept.outstanding(), 0U);
  EXPECT_EQ(dispatcher->stats().outstanding, 0U);
  EXPECT_EQ(dispatcher->stats().quarantined, 1U);
  restart_dispatcher();
  EXPECT_EQ(desk->reports.size(), 2U);
}

class QueueLease : public QueueStage {
 protected:
  void start_with_clock() {
    lease_page = ipc::make_lease_page("jobs").value();
    region = ipc::map_lease_page(lease_page.get()).value();
    start_all(1);
  }
  // As the brain does it when the time is over, whatever the time is.
  bool condemn() {
    return ipc::is_overdue(*reinterpret_cast<ipc::LeasePage*>(region.data()), 0, UINT64_MAX >> 1);
  }
  base::MappedRegion region;
};

TEST_P(QueueLease, that_ran_out_cannot_be_completed_and_is_the_only_one_that_is_blamed) {
  start_with_clock();
  push("slow");
  push("innocent");
  auto slow = lease(0);
  EXPECT_TRUE(condemn());
  const auto late = slow.complete(as_bytes("late"), soon());
  ASSERT_FALSE(late);
  EXPECT_TRUE(late.error().is(Errc::stopped));
  forgotten.push_back(std::make_unique<Lease>(std::move(slow)));
  EXPECT_EQ(next(), "nothing") << "nobody has it before the worker is dead";
  EXPECT_EQ(dispatcher->stats().waiting, 0U);
  kill_worker(0);
  turn();
  start_worker(0);
  ipc::forget_lease(*reinterpret_cast<ipc::LeasePage*>(region.data()));
  greet(0);
  for (TaskId task = 1; task <= 2; ++task) {
    auto again = lease(0);
    EXPECT_EQ(again.task(), task);
    EXPECT_EQ(again.attempt(), task == 1 ? 2U : 1U);
    ASSERT_TRUE(again.complete({}, soon()));
  }
}

TEST_P(QueueLease, that_ran_out_is_not_given_back_and_no_other_is_begun) {
  start_with_clock();
  push("slow");
  push("next");
  auto slow = lease(0);
  EXPECT_TRUE(condemn());
  slow.release();
  turn();
  EXPECT_EQ(dispatcher->stats().waiting, 0U);
  EXPECT_TRUE(workers[0]->lease(Deadline::now()).error().is(Errc::stopped));
}

TEST_P(QueueLease, that_is_over_in_time_condemns_nobody) {
  start_with_clock();
  push("a");
  push("b");
  complete(0, "done");
  EXPECT_FALSE(condemn());
  lease(0).release();
  EXPECT_FALSE(condemn());
  EXPECT_EQ(next(), "1=done");
}

BULKHEAD_OVER_ALL_TRANSPORTS(QueueDeath);
BULKHEAD_OVER_ALL_TRANSPORTS(QueueLease);

}  // namespace
}  // namespace bulkhead::test
