// A queue while everybody lives: leases, results, deadlines, back-pressure, and what hostile ends say.
#include "tests/conformance/queue_stage.hpp"

#include <set>
#include <stdexcept>

namespace bulkhead::test {
namespace {

using Q = QueueStage;

TEST_P(Q, brings_each_task_to_a_worker_and_its_result_back) {
  start_all(1);
  EXPECT_EQ(push("two"), 1U);
  EXPECT_EQ(push(""), 2U);
  {
    auto task = lease(0);
    EXPECT_EQ(task.task(), 1U);
    EXPECT_EQ(task.attempt(), 1U);
    EXPECT_EQ(text_of(task.bytes()), "two");
    ASSERT_TRUE(task.complete(as_bytes("2"), soon()));
    EXPECT_TRUE(task.bytes().empty());
    EXPECT_TRUE(task.complete({}, soon()).error().is(Errc::invalid_argument)) << "it is over";
  }
  complete(0, "");
  auto over = take();
  EXPECT_EQ(over.task(), 1U);
  EXPECT_EQ(text_of(over.bytes()), "2");
  EXPECT_EQ(over.attempts(), 1U);
  EXPECT_EQ(over.worker(), "peer.0");
  EXPECT_FALSE(over.quarantined());
  EXPECT_FALSE(over.redelivered());
  over.acknowledge();
  EXPECT_EQ(next(), "2=");
  EXPECT_EQ(dispatcher->stats().outstanding, 0U);
  EXPECT_EQ(dispatcher->stats().pushed, 2U);
}

TEST_P(Q, deals_a_few_tasks_to_each_worker_and_keeps_the_rest) {
  start_all(2);
  for (int i = 0; i < 20; ++i) push(std::to_string(i));
  EXPECT_EQ(dispatcher->stats().waiting, 20 - 2 * ipc::queue_credit);
  // One of them is slow: the other does nearly all.
  const auto slow = lease(0);
  std::set<std::string> done;
  for (int i = 0; i < 16; ++i) {
    complete(1, "x");
    done.insert(next());
  }
  EXPECT_EQ(done.size(), 16U);
  EXPECT_EQ(dispatcher->stats().waiting, 0U);
}

TEST_P(Q, deals_nothing_to_a_worker_that_has_not_asked) {
  make(2);
  start_dispatcher();
  start_worker(0);
  start_worker(1);
  greet(1);
  for (int i = 0; i < 4; ++i) push("x");
  for (int i = 0; i < 4; ++i) complete(1, "y");
}

TEST_P(Q, keeps_tasks_until_there_is_a_worker) {
  make(1);
  start_dispatcher();
  push("early");
  start_worker(0);
  greet(0);
  EXPECT_EQ(text_of(lease(0).bytes()), "early");
}

TEST_P(Q, ends_waiting_at_the_deadline_and_when_stopped) {
  start_all(1);
  EXPECT_TRUE(workers[0]->lease(briefly()).error().is(Errc::timed_out));
  EXPECT_TRUE(workers[0]->lease(Deadline::now()).error().is(Errc::would_block));
  EXPECT_TRUE(dispatcher->next_completion(briefly()).error().is(Errc::timed_out));
  EXPECT_TRUE(dispatcher->next_completion(Deadline::now()).error().is(Errc::would_block));
  StopFlag flag;
  brains[0]->stop(ipc::Side::to, flag);
  const auto stopped = Deadline::never().unless(flag);
  EXPECT_TRUE(workers[0]->lease(stopped).error().is(Errc::stopped));
  EXPECT_TRUE(dispatcher->next_completion(stopped).error().is(Errc::stopped));
  EXPECT_TRUE(dispatcher->push({}, stopped).error().is(Errc::stopped));
}

TEST_P(Q, slows_down_who_pushes_until_completions_are_taken) {
  start_all(1);
  const std::string large(message_max, 'x');
  std::size_t pushed = 0;
  while (dispatcher->try_push(as_bytes(large))) ++pushed;
  EXPECT_GE(pushed, capacity / (message_max + 200));
  EXPECT_TRUE(dispatcher->push(as_bytes(large), briefly()).error().is(Errc::timed_out));
  complete(0, "done");
  const auto full = dispatcher->push(as_bytes(large), soon());
  ASSERT_FALSE(full);
  EXPECT_TRUE(full.error().is(Errc::would_block)) << "only the caller can make room";
  EXPECT_EQ(next(), "1=done");
  EXPECT_TRUE(dispatcher->push(as_bytes(large), soon()));
}

TEST_P(Q, does_tasks_of_every_size_up_to_the_largest) {
  start_all(1);
  EXPECT_EQ(dispatcher->message_max(), message_max);
  EXPECT_EQ(workers[0]->message_max(), message_max);
  for (std::size_t size = 0; size <= message_max; size += 500) {
    const std::string text(size, static_cast<char>('a' + size / 500 % 26));
    const TaskId task = push(text);
    auto work = lease(0);
    EXPECT_EQ(text_of(work.bytes()), text);
    ASSERT_TRUE(work.complete(work.bytes(), soon())) << "a result may lie in the task";
    EXPECT_EQ(next(), std::to_string(task) + "=" + text);
  }
  const std::string too_large(message_max + 1, 'x');
  EXPECT_TRUE(dispatcher->try_push(as_bytes(too_large)).error().is(Errc::message_too_big));
  push("x");
  auto work = lease(0);
  EXPECT_TRUE(work.complete(as_bytes(too_large), soon()).error().is(Errc::message_too_big));
  EXPECT_TRUE(work.complete(as_bytes("small"), soon())) << "the lease went on";
}

TEST_P(Q, leases_one_task_at_a_time) {
  start_all(1);
  push("a");
  push("b");
  auto first = lease(0);
  EXPECT_TRUE(workers[0]->lease(Deadline::now()).error().is(Errc::invalid_argument));
  ASSERT_TRUE(first.complete({}, soon()));
  EXPECT_EQ(lease(0).task(), 2U);
}

TEST_P(Q, answers_at_the_wrong_end_with_the_right_one) {
  start_all(1);
  const auto wrong = dispatcher->lease(Deadline::now());
  ASSERT_FALSE(wrong);
  EXPECT_TRUE(wrong.error().is(Errc::invalid_argument));
  EXPECT_NE(wrong.error().context.find("\"to\""), std::string::npos);
  EXPECT_TRUE(workers[0]->try_push({}).error().is(Errc::invalid_argument));
  EXPECT_TRUE(workers[0]->next_completion(Deadline::now()).error().is(Errc::invalid_argument));
}

TEST_P(Q, gives_a_released_task_again_without_blame) {
  start_all(1);
  push("a");
  { const auto left_undone = lease(0); }
  auto again = lease(0);
  EXPECT_EQ(again.task(), 1U);
  EXPECT_EQ(again.attempt(), 1U);
  again.release();
  EXPECT_TRUE(again.bytes().empty());
  EXPECT_EQ(lease(0).attempt(), 1U);
}

TEST_P(Q, blames_a_task_that_throws_and_gives_it_up_at_the_last_time) {
  start_all(1, 2);
  push("bad");
  push("good");
  for (std::uint32_t attempt = 1; attempt <= 2;) {
    try {
      auto task = lease(0);
      if (text_of(task.bytes()) == "good") {
        ASSERT_TRUE(task.complete(as_bytes("fine"), soon()));
        continue;
      }
      EXPECT_EQ(task.attempt(), attempt++);
      throw std::runtime_error("cannot do it");
    } catch (const std::runtime_error&) {
    }
  }
  EXPECT_EQ((std::set<std::string>{next(), next()}),
            (std::set<std::string>{"1=quarantined", "2=fine"}));
  EXPECT_EQ(dispatcher->stats().quarantined, 1U);
  ASSERT_EQ(desk->reports.size(), 1U);
  EXPECT_EQ(desk->reports[0].task, 1U);
  EXPECT_EQ(desk->reports[0].attempts, 2U);
  EXPECT_EQ(desk->reports[0].pair, "jobs/a.0/b.0");
}

TEST_P(Q, gives_a_completion_again_that_was_let_go_by_an_exception) {
  start_all(1);
  push("a");
  complete(0, "r");
  try {
    auto over = dispatcher->next_completion(soon());
    ASSERT_TRUE(over);
    throw std::runtime_error("the result could not be stored");
  } catch (const std::runtime_error&) {
  }
  auto over = dispatcher->next_completion(soon());
  ASSERT_TRUE(over);
  EXPECT_TRUE(over->redelivered());
  EXPECT_EQ(text_of(over->bytes()), "r");
}

TEST_P(Q, gives_completions_in_any_number_and_takes_them_back_in_any_order) {
  start_all(1);
  std::vector<Completion> held;
  for (int i = 0; i < 4; ++i) push("x");
  for (int i = 0; i < 4; ++i) {
    complete(0, std::to_string(i));
    held.push_back(take());
  }
  held[3].acknowledge();
  held[1].release();
  held[0].acknowledge();
  EXPECT_EQ(next(), "2=1");
  held.clear();
  EXPECT_EQ(dispatcher->stats().outstanding, 0U);
}

// What a worker may say that the protocol forbids; it harms itself alone.
class HostileWorker : public QueueStage {
 protected:
  void SetUp() override {
    make(2);
    start_dispatcher();
    start_worker(1);
    greet(1);
    hostile.emplace(brains[0]->start(ipc::Side::to));
    turn();
    say({.kind = ipc::QueueFrame::Kind::hello, .epoch = 1});
    turn();
    push("a");
    turn();
  }
  void TearDown() override {
    hostile.reset();
    QueueStage::TearDown();
  }
  void say(const ipc::QueueFrame& frame) {
    std::byte bytes[ipc::queue_frame_bytes];
    ipc::write_frame(bytes, frame);
    ASSERT_TRUE(hostile->send(bytes, soon()));
  }
  void expect_that_others_go_on() {
    turn();
    EXPECT_GE(dispatcher->stats().violations + dispatcher->stats().stale, 1U);
    for (int i = 0; i < 3; ++i) push("b");
    for (int i = 0; i < 3; ++i) {
      complete(1, "fine");
      EXPECT_NE(next().find("=fine"), std::string::npos);
    }
  }
  std::optional<Channel> hostile;
};

TEST_P(HostileWorker, that_sends_garbage) {
  ASSERT_TRUE(hostile->send(as_bytes("short"), soon()));
  ASSERT_TRUE(hostile->send(as_bytes(std::string(64, '\xff')), soon()));
  expect_that_others_go_on();
}

TEST_P(HostileWorker, that_plays_the_dispatcher) {
  say({.kind = ipc::QueueFrame::Kind::task, .epoch = 1, .task = 1});
  expect_that_others_go_on();
}

TEST_P(HostileWorker, that_ends_what_it_never_began) {
  say({.kind = ipc::QueueFrame::Kind::completed, .epoch = 1, .task = 1, .deal = 2});
  expect_that_others_go_on();
}

TEST_P(HostileWorker, that_ends_what_is_not_its_own) {
  for (TaskId task = 0; task < 10; ++task) {
    say({.kind = ipc::QueueFrame::Kind::started, .epoch = 1, .task = task, .deal = 77});
    say({.kind = ipc::QueueFrame::Kind::completed, .epoch = 1, .task = task, .deal = 77});
    say({.kind = ipc::QueueFrame::Kind::failed, .epoch = 9, .task = task, .deal = 2});
  }
  expect_that_others_go_on();
}

TEST_P(HostileWorker, that_ends_a_task_twice) {
  for (int i = 0; i < 2; ++i) {
    say({.kind = ipc::QueueFrame::Kind::started, .epoch = 1, .task = 1, .deal = 2});
    say({.kind = ipc::QueueFrame::Kind::completed, .epoch = 1, .task = 1, .deal = 2});
  }
  EXPECT_EQ(next(), "1=");
  EXPECT_EQ(next(), "nothing") << "once is enough";
  EXPECT_EQ(dispatcher->stats().stale, 2U);
  EXPECT_EQ(dispatcher->stats().outstanding, 0U);
}

// Its memory is no segment: nothing can be received from it, now or later.
TEST_P(HostileWorker, that_offers_garbage_for_memory) {
  auto garbage = base::make_memfd("garbage", true).value();
  ipc::LinkUpdate offer{ipc::LinkUpdate::Kind::peer_segment, 2, {}};
  offer.fds.push_back(std::move(garbage));
  brains[0]->post(ipc::Side::from, std::move(offer));
  expect_that_others_go_on();
  EXPECT_TRUE(dispatcher->next_completion(briefly()).error().is(Errc::timed_out));
}

TEST_P(HostileWorker, that_begins_two_tasks) {
  push("b");
  push("c");  // two of the three are its own
  turn();
  for (TaskId task = 1; task <= 3; ++task) {
    for (std::uint64_t deal = 2; deal <= 4; ++deal) {
      say({.kind = ipc::QueueFrame::Kind::started, .epoch = 1, .task = task, .deal = deal});
    }
  }
  turn();
  EXPECT_EQ(dispatcher->stats().violations, 1U);
}

TEST_P(Q, tells_a_worker_of_a_message_that_is_no_task_and_goes_on) {
  make(1);
  start_worker(0);
  Channel hostile = brains[0]->start(ipc::Side::from);
  ASSERT_TRUE(hostile.send(as_bytes("garbage"), soon()));
  EXPECT_TRUE(workers[0]->lease(soon()).error().is(Errc::protocol_violation));
  EXPECT_TRUE(workers[0]->lease(Deadline::now()).error().is(Errc::would_block));
  EXPECT_EQ(workers[0]->stats().violations, 1U);
}

BULKHEAD_OVER_ALL_TRANSPORTS(Q);
BULKHEAD_OVER_ALL_TRANSPORTS(HostileWorker);

}  // namespace
}  // namespace bulkhead::test
