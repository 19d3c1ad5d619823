// Policies with real processes: tasks that are stopped for others, go on, end, die, are cancelled or run out of time.
#include <gtest/gtest.h>
#include <bulkhead/pool.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/clock.hpp"
#include "tests/process/pool_signs.hpp"

namespace bulkhead {
namespace {

using test::patience;
using test::Signs;
using namespace std::chrono_literals;

Scheduling how(SchedulingPolicy policy) {
  return {.policy = policy, .quantum = 1ms, .trace = true};
}
PoolOptions one_worker(Scheduling scheduling) {
  return {.workers = 1, .grace = 10ms, .scheduling = scheduling};
}

// Takes so much of a processor, however often it is stopped.
constexpr auto compute = [](int ms) {
  const auto until = base::processor_time_ns() + static_cast<std::uint64_t>(ms) * 1'000'000;
  while (base::processor_time_ns() < until) {
  }
  return ms;
};

// The tasks in the order of their first turns.
std::vector<std::uint64_t> order_of(const ScheduleTrace& trace) {
  ScheduleTrace turns = trace;
  std::sort(turns.begin(), turns.end(),
            [](const auto& a, const auto& b) { return a.begin < b.begin; });
  std::vector<std::uint64_t> order;
  for (const auto& turn : turns) {
    if (std::find(order.begin(), order.end(), turn.task) == order.end()) order.push_back(turn.task);
  }
  return order;
}

// A task that holds the only worker until everything else has been submitted.
class PoolQueued : public testing::Test {
 protected:
  void begin(SchedulingPolicy policy) {
    pool_.emplace(one_worker(how(policy)));
    holder_ = pool_->submit(
        [](Signs signs) {
          signs.give(1);
          signs.await(0);
        },
        signs_);
    signs_.await(1);
  }
  void add(TaskOptions options) {
    others_.push_back(pool_->submit_with(options, [] {}));
  }
  std::vector<std::uint64_t> order() {
    signs_.give(0);
    EXPECT_TRUE(holder_->get(patience()));
    for (auto& other : others_) EXPECT_TRUE(other.get(patience()));
    return order_of(pool_->schedule_trace());
  }

  Signs signs_{2};
  std::optional<Pool> pool_;
  std::optional<Future<void>> holder_;
  std::vector<Future<void>> others_;
};

TEST_F(PoolQueued, are_taken_by_their_expected_time) {
  begin(SchedulingPolicy::shortest_next);
  add({.expected = 3ms});
  add({.expected = 1ms});
  add({.expected = 2ms});
  EXPECT_EQ(order(), (std::vector<std::uint64_t>{1, 3, 4, 2}));
}

TEST_F(PoolQueued, are_taken_by_their_priority) {
  begin(SchedulingPolicy::priority_aging);
  add({.priority = 1});
  add({.priority = 1'000'000});
  EXPECT_EQ(order(), (std::vector<std::uint64_t>{1, 3, 2}));
}

TEST_F(PoolQueued, are_taken_by_their_priority_and_in_the_order_of_submission) {
  begin(SchedulingPolicy::first_come);
  add({});
  add({.priority = 1});
  add({});
  EXPECT_EQ(order(), (std::vector<std::uint64_t>{1, 3, 2, 4}));
}

class PoolCancelled : public testing::TestWithParam<SchedulingPolicy> {};
class PoolPreempting : public testing::TestWithParam<SchedulingPolicy> {};

// The first would wait for ever for the second, which the policy lets in.
TEST_P(PoolPreempting, lets_a_task_in_before_the_one_that_runs_has_ended) {
  Signs signs(2);
  Pool pool(one_worker(how(GetParam())));
  auto first = pool.submit_with(
      {.expected = 1h},
      [](Signs both) {
        both.give(0);
        both.await(1);
      },
      signs);
  signs.await(0);
  auto second = pool.submit_with(
      {.expected = 1ms}, [](Signs both) { both.give(1); }, signs);
  EXPECT_TRUE(second.get(patience()));
  EXPECT_TRUE(first.get(patience()));
  EXPECT_GE(pool.stats().preempted, 1U);
}

TEST_P(PoolPreempting, runs_as_many_at_once_as_there_are_workers_and_each_to_its_end) {
  Pool pool({.workers = 2, .scheduling = how(GetParam())});
  std::vector<Future<int>> tasks;
  for (int i = 1; i <= 12; ++i) {
    tasks.push_back(pool.submit_with({.expected = std::chrono::milliseconds(i)}, compute, i));
  }
  for (int i = 1; i <= 12; ++i)
    EXPECT_EQ(tasks[static_cast<std::size_t>(i - 1)].get(patience()).value(), i);
  std::map<std::chrono::steady_clock::time_point, int> changes;
  std::set<std::uint64_t> seen;
  for (const auto& turn : pool.schedule_trace()) {
    EXPECT_LT(turn.processor, 2U);
    ++changes[turn.begin];
    --changes[turn.end];
    seen.insert(turn.task);
  }
  int running = 0;
  for (const auto& [when, change] : changes) {
    running += change;
    EXPECT_LE(running, 2);
  }
  EXPECT_EQ(seen.size(), 12U);
}

INSTANTIATE_TEST_SUITE_P(Pool, PoolPreempting,
                         testing::Values(SchedulingPolicy::shortest_remaining,
                                         SchedulingPolicy::round_robin, SchedulingPolicy::feedback),
                         [](const auto& each) {
                           switch (each.param) {
                             case SchedulingPolicy::round_robin: return "round_robin";
                             case SchedulingPolicy::feedback: return "feedback";
                             default: return "shortest_remaining";
                           }
                         });

// One task that has begun and stands aside for another, which runs until it is told to end.
class PoolStopped : public testing::Test {
 protected:
  explicit PoolStopped(TaskOptions options = {}) {
    options.expected = 1h;
    stopped_ = pool_.submit_with(
        options,
        [](Signs signs) {
          signs.give(0);
          signs.await(1);
          return ::getpid();
        },
        signs_);
    signs_.await(0);
    running_ = pool_.submit_with(
        {.expected = 1min},
        [](Signs signs) {
          signs.give(2);
          signs.await(3);
        },
        signs_);
    signs_.await(2);
  }

  Signs signs_{4};
  Pool pool_{one_worker(how(SchedulingPolicy::shortest_remaining))};
  std::optional<Future<pid_t>> stopped_;
  std::optional<Future<void>> running_;
};

TEST_F(PoolStopped, goes_on_where_it_was) {
  EXPECT_EQ(pool_.stats().preempted, 1U);
  signs_.give(1);
  signs_.give(3);
  EXPECT_TRUE(running_->get(patience()));
  EXPECT_TRUE(stopped_->get(patience()));
}

TEST_F(PoolStopped, is_cancelled_as_one_that_runs) {
  EXPECT_TRUE(stopped_->cancel());
  EXPECT_FALSE(stopped_->get(patience()));
  EXPECT_EQ(stopped_->failure()->cause, FailureCause::cancelled);
  signs_.give(3);
  EXPECT_TRUE(running_->get(patience()));
}

TEST_F(PoolStopped, dies_alone) {
  for (const int pid : pool_.pids()) ::kill(pid, SIGKILL);
  EXPECT_FALSE(stopped_->get(patience()));
  EXPECT_EQ(stopped_->failure()->cause, FailureCause::signal);
  EXPECT_FALSE(running_->get(patience()));
  EXPECT_EQ(pool_.submit([] { return 7; }).get(patience()).value(), 7);
}

TEST_F(PoolStopped, leaves_idle_workers_to_a_map) {
  signs_.give(3);
  EXPECT_TRUE(running_->get(patience()));
  signs_.give(1);
  const auto squares = pool_.map(std::vector<int>{1, 2, 3}, [](int x) { return x * x; });
  EXPECT_EQ(squares.values, (std::vector<int>{1, 4, 9}));
  EXPECT_TRUE(stopped_->get(patience()));
}

TEST_F(PoolStopped, does_not_outlive_its_pool) {
  const auto pids = pool_.pids();
  ASSERT_GE(pids.size(), 2U);
  Pool(std::move(pool_));
  for (const int pid : pids) test::await_end(pid);
  EXPECT_FALSE(stopped_->get(patience()));
}

class PoolTimedStopped : public PoolStopped {
 protected:
  PoolTimedStopped() : PoolStopped({.timeout = 50ms}) {}
};

// Its clock stands still: it would be over otherwise before the other one has computed for so long.
TEST_F(PoolTimedStopped, has_time_left_when_it_goes_on) {
  signs_.give(1);
  EXPECT_EQ(pool_.submit_with({.expected = 1ms}, compute, 100).get(patience()).value(), 100);
  signs_.give(3);
  EXPECT_TRUE(running_->get(patience()));
  EXPECT_TRUE(stopped_->get(patience())) << stopped_->failure()->in_words();
}

TEST(PoolSchedule, keeps_no_more_stopped_than_it_may) {
  auto few = how(SchedulingPolicy::round_robin);
  few.stopped_max = 2;
  Pool pool(one_worker(few));
  std::vector<Future<int>> tasks;
  for (int i = 0; i < 10; ++i) tasks.push_back(pool.submit(compute, 4));
  std::size_t most = 0;
  for (auto& task : tasks) {
    most = std::max(most, pool.pids().size());
    EXPECT_TRUE(task.get(patience()));
  }
  EXPECT_LE(most, 4U);  // who runs, two who stand aside, one for who is next
  EXPECT_GE(pool.stats().preempted, 1U);
}

TEST(PoolSchedule, that_lets_none_be_stopped_stops_none) {
  auto none = how(SchedulingPolicy::round_robin);
  none.stopped_max = 0;
  Pool pool(one_worker(none));
  std::vector<Future<int>> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(pool.submit(compute, 4));
  for (auto& task : tasks) EXPECT_TRUE(task.get(patience()));
  EXPECT_EQ(pool.stats().preempted, 0U);
}

TEST(PoolSchedule, holds_with_many_tasks_while_workers_are_killed) {
  for (const auto policy : {SchedulingPolicy::shortest_next, SchedulingPolicy::priority_aging,
                            SchedulingPolicy::shortest_remaining, SchedulingPolicy::round_robin,
                            SchedulingPolicy::feedback}) {
    Pool pool({.workers = 2, .scheduling = how(policy)});
    std::vector<Future<int>> tasks;
    for (int i = 0; i < 200; ++i) {
      tasks.push_back(pool.submit_with(
          {.on_crash = OnCrash::retry, .retries = 1000, .priority = i % 3}, compute, i % 4));
      const auto pids = pool.pids();
      if (i % 10 == 9 && !pids.empty())
        ::kill(pids[static_cast<std::size_t>(i) % pids.size()], SIGKILL);
    }
    for (int i = 0; i < 200; ++i) {
      const auto result = tasks[static_cast<std::size_t>(i)].get(patience());
      ASSERT_TRUE(result) << i << ": " << tasks[static_cast<std::size_t>(i)].failure()->in_words();
      EXPECT_EQ(*result, i % 4);
    }
  }
}

// Its worker has been given the call, and has not begun it.
TEST_P(PoolCancelled, call_leaves_its_worker_to_the_next_one) {
  Pool pool(one_worker({.policy = GetParam()}));
  ASSERT_TRUE(pool.submit([] {}).get(patience()));
  const auto pids = pool.pids();
  for (const int pid : pids) ::kill(pid, SIGSTOP);
  auto first = pool.submit_with({.timeout = 1h}, [] {});
  auto second = pool.submit_with({.timeout = 1h}, [] { return 2; });
  (void)compute(30);  // longer than the pool's thread goes on looking around by itself
  EXPECT_TRUE(first.cancel());
  for (const int pid : pids) ::kill(pid, SIGCONT);
  EXPECT_EQ(second.get(patience()).value(), 2);
}

// Of what was cancelled, no time limit is left.
TEST_P(PoolCancelled, call_takes_its_time_limit_along) {
  Pool pool(one_worker({.policy = GetParam()}));
  ASSERT_TRUE(pool.submit([] {}).get(patience()));
  const auto pids = pool.pids();
  for (const int pid : pids) ::kill(pid, SIGSTOP);
  auto limited = pool.submit_with({.timeout = 30ms}, [] {});
  EXPECT_TRUE(limited.cancel());
  for (const int pid : pids) ::kill(pid, SIGCONT);
  auto unlimited = pool.submit(compute, 100);
  EXPECT_EQ(unlimited.get(patience()).value(), 100) << unlimited.failure()->in_words();
}

// Not those that let the stopped worker go on by themselves.
INSTANTIATE_TEST_SUITE_P(Pool, PoolCancelled,
                         testing::Values(SchedulingPolicy::first_come,
                                         SchedulingPolicy::shortest_next,
                                         SchedulingPolicy::priority_aging),
                         [](const auto& each) { return std::string(to_string(each.param)); });

// Two processors: on one a task that does not let itself be ended soon, on the other a long one.
TEST(PoolSchedule, gives_the_other_processor_while_a_task_is_being_ended) {
  Signs signs(3);
  Pool pool({.workers = 2, .grace = 1h, .scheduling = how(SchedulingPolicy::shortest_remaining)});
  auto stubborn = pool.submit_with(
      {.expected = 2h},
      [](Signs all) {
        all.give(0);
        all.await(2);
      },
      signs);
  auto long_one = pool.submit_with(
      {.expected = 1h},
      [](Signs all) {
        all.give(1);
        all.await(2);
      },
      signs);
  signs.await(0);
  signs.await(1);
  EXPECT_TRUE(stubborn.cancel());
  EXPECT_TRUE(pool.submit_with({.expected = 1ms}, [] {}).get(patience()));
  signs.give(2);
  EXPECT_TRUE(long_one.get(patience()));
}

// Each task that is stopped needs one more of them, which come while reports are being taken.
TEST(PoolSchedule, holds_while_workers_come_that_take_their_time) {
  for (int round = 0; round < 10; ++round) {
    Pool pool({.workers = 2,
               .initializer = [] { (void)compute(5); },
               .scheduling = how(SchedulingPolicy::round_robin)});
    std::vector<Future<int>> tasks;
    for (int i = 0; i < 12; ++i) tasks.push_back(pool.submit(compute, i));
    for (int i = 0; i < 12; ++i)
      EXPECT_EQ(tasks[static_cast<std::size_t>(i)].get(patience()).value(), i);
  }
}

TEST(PoolSchedule, puts_back_in_its_place_who_lost_its_worker) {
  Signs signs(2);
  Pool pool(one_worker(how(SchedulingPolicy::first_come)));
  const auto tried = SharedArray<int>::create(1).value();
  auto first = pool.submit_with(
      {.on_crash = OnCrash::retry},
      [](Signs all, SharedArray<int> times) {
        const bool is_first = times[0]++ == 0;
        all.give(0);
        if (is_first) all.await(1);
      },
      signs, tried);
  signs.await(0);
  auto second = pool.submit([] {});
  for (const int pid : pool.pids()) ::kill(pid, SIGKILL);
  EXPECT_TRUE(first.get(patience()));
  EXPECT_TRUE(second.get(patience()));
  EXPECT_EQ(order_of(pool.schedule_trace()), (std::vector<std::uint64_t>{1, 2}));
  const auto trace = pool.schedule_trace();
  EXPECT_EQ(trace.back().task, 2U);
}

TEST(PoolSchedule, without_a_trace_keeps_none) {
  Pool pool({.workers = 1, .scheduling = {.policy = SchedulingPolicy::round_robin}});
  EXPECT_TRUE(pool.submit([] {}).get(patience()));
  EXPECT_TRUE(pool.schedule_trace().empty());
}

}  // namespace
}  // namespace bulkhead
