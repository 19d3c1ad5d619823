// What becomes of tasks that crash, throw, take too long, are cancelled, or find no worker.
#include <gtest/gtest.h>
#include <bulkhead/pool.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <numeric>
#include <random>
#include <thread>

#include "base/child_process.hpp"
#include "tests/process/pool_signs.hpp"

namespace bulkhead {
namespace {

using test::await_end;
using test::patience;
using test::sanitized;
using namespace std::chrono_literals;

[[gnu::noinline]] void write_to_nowhere(int* where) {
  *static_cast<volatile int*>(where) = 1;
  asm volatile("");
}

void throw_out(const char* what) { throw std::runtime_error(what); }

TEST(PoolFailure, of_one_task_is_told_and_leaves_the_others_alone) {
  Pool pool({.workers = 2});
  std::vector<Future<int>> good;
  for (int i = 0; i < 50; ++i) good.push_back(pool.submit([](int x) { return x; }, i));
  auto crashed = pool.submit([] { write_to_nowhere(nullptr); });
  for (int i = 50; i < 100; ++i) good.push_back(pool.submit([](int x) { return x; }, i));
  const auto result = crashed.get(patience());
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::peer_died));
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(good[static_cast<std::size_t>(i)].get(patience()).value(), i);
  if (sanitized) return;  // its report takes the place of ours
  ASSERT_EQ(crashed.failure()->cause, FailureCause::signal);
  EXPECT_EQ(crashed.failure()->number, SIGSEGV);
  EXPECT_NE(crashed.failure()->in_words().find("SIGSEGV writing 0x0"), std::string::npos)
      << crashed.failure()->in_words();
  const auto frames = crashed.failure()->backtrace();
  ASSERT_FALSE(frames.empty());
  EXPECT_NE(frames[0].function.find("write_to_nowhere"), std::string::npos) << frames[0].function;
  EXPECT_TRUE(frames[0].file.ends_with("pool_failure_test.cpp")) << frames[0].file;
  EXPECT_GT(frames[0].line, 0);
}

TEST(PoolFailure, tells_causes_apart) {
  Pool pool({.workers = 1, .grace = 10ms});
  const auto cause_of = [](const auto& future) {
    (void)future.get(patience());
    return future.failure() != nullptr ? future.failure()->cause : FailureCause::closed;
  };
  auto exited = pool.submit([] { ::_exit(3); });
  EXPECT_EQ(cause_of(exited), FailureCause::exited);
  EXPECT_EQ(exited.failure()->number, 3);
  auto killed = pool.submit([] { ::kill(::getpid(), SIGKILL); });
  EXPECT_EQ(cause_of(killed), FailureCause::signal);
  EXPECT_EQ(killed.failure()->number, SIGKILL);
  auto memory = pool.submit([] { throw std::bad_alloc(); });
  EXPECT_EQ(cause_of(memory), FailureCause::out_of_memory);
  EXPECT_THROW(memory.value(patience()), std::bad_alloc);
  auto late = pool.submit_with({.timeout = 20ms}, [] {
    for (;;) ::pause();
  });
  EXPECT_EQ(cause_of(late), FailureCause::timed_out);
  auto deaf = pool.submit_with({.timeout = 20ms}, [] {
    ::signal(SIGTERM, SIG_IGN);
    for (;;) ::pause();
  });
  EXPECT_EQ(cause_of(deaf), FailureCause::timed_out);
  EXPECT_EQ(pool.submit([] { return 1; }).get(patience()).value(), 1);
}

TEST(PoolFailure, spares_the_worker_of_a_task_that_stops_when_it_is_asked_to) {
  Pool pool({.workers = 1, .grace = 60s});
  const int before =
      pool.submit([] { return static_cast<int>(::getpid()); }).get(patience()).value();
  const auto until_stopped = [] {
    while (!Pool::stop_requested()) ::sched_yield();
  };
  EXPECT_EQ(pool.submit_with({.timeout = 5ms}, until_stopped).get(patience()).error().code,
            make_error_code(Errc::timed_out));
  test::Signs signs(1);
  auto cancelled = pool.submit(
      [](test::Signs& all) {
        all.give(0);
        while (!Pool::stop_requested()) ::sched_yield();
      },
      signs);
  signs.await(0);
  EXPECT_TRUE(cancelled.cancel());
  EXPECT_TRUE(cancelled.get(patience()).error().is(Errc::cancelled));
  EXPECT_FALSE(cancelled.cancel());
  EXPECT_EQ(pool.submit([] { return Pool::stop_requested(); }).get(patience()).value(), false);
  EXPECT_EQ(pool.submit([] { return static_cast<int>(::getpid()); }).get(patience()).value(),
            before);
  EXPECT_FALSE(Pool::stop_requested());  // here is no task
}

TEST(PoolFailure, cancels_what_waits_without_running_it) {
  Pool pool({.workers = 1});
  test::Signs signs(2);
  auto running = pool.submit([](test::Signs& all) { all.await(0); }, signs);
  auto waiting = pool.submit_with(
      {.timeout = 60s}, [](test::Signs& all) { all.give(1); }, signs);
  EXPECT_TRUE(waiting.cancel());
  EXPECT_EQ(waiting.failure()->cause, FailureCause::cancelled);
  signs.give(0);
  EXPECT_TRUE(running.get(patience()));
  EXPECT_TRUE(pool.drain(patience()));
  EXPECT_FALSE(signs.given(1));
}

TEST(PoolFailure, to_end_in_time_is_no_other_tasks_affair) {
  Pool pool({.workers = 1, .grace = 60s});
  for (int round = 0; round < 100; ++round) {
    test::Signs signs(2);
    auto first = pool.submit(
        [](test::Signs& all) {
          while (!all.given(0)) {
          }
        },
        signs);
    auto second = pool.submit(
        [](test::Signs& all) {
          all.give(1);
          while (!Pool::stop_requested()) ::sched_yield();
        },
        signs);
    signs.give(0);
    while (!signs.given(1)) {
    }
    EXPECT_FALSE(first.cancel());  // it has ended, whether anybody has looked or not
    EXPECT_TRUE(second.cancel());
    ASSERT_TRUE(second.wait(patience())) << round;
    EXPECT_EQ(second.failure()->cause, FailureCause::cancelled);
  }
}

TEST(PoolFailure, tries_again_what_may_be_run_twice) {
  Pool pool({.workers = 2});
  auto tries = SharedArray<int>::create(1).value();
  auto second = pool.submit_with(
      {.on_crash = OnCrash::retry, .retries = 2},
      [](SharedArray<int>& count) {
        if (++count[0] < 3) ::kill(::getpid(), SIGKILL);
        return count[0];
      },
      tries);
  EXPECT_EQ(second.get(patience()).value(), 3);
  auto never = pool.submit_with({.on_crash = OnCrash::retry, .retries = 1},
                                [] { ::kill(::getpid(), SIGKILL); });
  ASSERT_FALSE(never.get(patience()));
  EXPECT_EQ(never.failure()->attempts, 2U);
  EXPECT_EQ(pool.stats().retried, 3U);
}

TEST(PoolFailure, finds_the_guilty_items_among_many) {
  Pool pool({.workers = 2});
  std::vector<std::uint64_t> items(100'000);
  std::iota(items.begin(), items.end(), std::uint64_t{0});
  const auto mapped = pool.map(items, [](std::uint64_t x) -> std::uint64_t {
    if (x == 17 || x == 50'000 || x == 99'999) write_to_nowhere(nullptr);
    return x * 2;
  });
  ASSERT_EQ(mapped.failures.size(), 3U);
  EXPECT_EQ(mapped.failures[0].item, 17U);
  EXPECT_EQ(mapped.failures[1].item, 50'000U);
  EXPECT_EQ(mapped.failures[2].item, 99'999U);
  for (const auto& [item, failure] : mapped.failures) {
    EXPECT_EQ(failure.attempts, 3U);
    if (sanitized) continue;
    const auto frames = failure.backtrace();
    ASSERT_FALSE(frames.empty());
    EXPECT_NE(frames[0].function.find("write_to_nowhere"), std::string::npos) << frames[0].function;
    EXPECT_GT(frames[0].line, 0);
  }
  for (const auto x : items) {
    const bool guilty = x == 17 || x == 50'000 || x == 99'999;
    ASSERT_EQ(mapped.values[x], guilty ? 0 : x * 2);
  }
}

TEST(PoolFailure, of_a_time_limit_does_not_come_before_its_time) {
  constexpr auto never = std::chrono::nanoseconds::max();
  Pool pool({.workers = 1, .grace = never});
  test::Signs signs(1);
  auto task = pool.submit_with(
      {.timeout = never}, [](test::Signs& all) { all.await(0); }, signs);
  EXPECT_FALSE(task.wait(Deadline::in(20ms)));
  signs.give(0);
  EXPECT_TRUE(task.get(patience()));
  const auto mapped =
      pool.map_with({.timeout = never}, std::vector<int>(10), [](int x) { return x; });
  EXPECT_TRUE(mapped.complete());
  EXPECT_EQ(pool.stats().died, 0U);
}

TEST(PoolFailure, ends_an_item_that_takes_too_long_and_no_other) {
  Pool pool({.workers = 2, .grace = 10ms});
  std::vector<int> items(200);
  std::iota(items.begin(), items.end(), 0);
  const auto mapped = pool.map_with({.timeout = 500ms}, items, [](int x) {
    if (x == 100)
      for (;;) ::pause();
    return x;
  });
  ASSERT_EQ(mapped.failures.size(), 1U);
  EXPECT_EQ(mapped.failures[0].item, 100U);
  EXPECT_EQ(mapped.failures[0].failure.cause, FailureCause::timed_out);
}

TEST(PoolFailure, of_an_item_that_stops_in_time_is_its_own_and_costs_no_worker) {
  Pool pool({.workers = 1, .grace = 60s});
  const auto mapped = pool.map_with({.timeout = 500ms}, std::vector<int>{0, 1, 2, 3}, [](int item) {
    while (item == 1 && !Pool::stop_requested()) ::sched_yield();
    return Pool::stop_requested() ? -1 : item;
  });
  ASSERT_EQ(mapped.failures.size(), 1U);
  EXPECT_EQ(mapped.failures[0].item, 1U);
  EXPECT_EQ(mapped.failures[0].failure.cause, FailureCause::timed_out);
  EXPECT_EQ(mapped.values, (std::vector<int>{0, 0, 2, 3}));
  EXPECT_EQ(pool.submit([] { return Pool::stop_requested(); }).get(patience()).value(), false);
  EXPECT_EQ(pool.stats().died, 0U);
}

TEST(PoolFailure, of_a_task_that_lets_an_exception_out_names_it) {
  if (sanitized) GTEST_SKIP() << "a sanitizer reports in place of ours";
  Pool pool({.workers = 1});
  auto task = pool.submit([]() noexcept { throw_out("let out"); });
  ASSERT_FALSE(task.get(patience()));
  EXPECT_EQ(task.failure()->cause, FailureCause::signal);
  EXPECT_NE(task.failure()->in_words().find("std::runtime_error: let out"), std::string::npos)
      << task.failure()->in_words();
}

TEST(PoolFailure, of_every_initializer_is_told_and_the_pool_can_be_used_on) {
  auto fails = SharedArray<int>::create(1).value();
  Pool pool({.workers = 1, .initializer = [] { throw std::runtime_error("no database"); }});
  auto task = pool.submit([] { return 1; });
  const auto result = task.get(patience());
  ASSERT_FALSE(result);
  EXPECT_EQ(task.failure()->cause, FailureCause::could_not_start);
  EXPECT_NE(result.error().context.find("no database"), std::string::npos)
      << result.error().context;
  EXPECT_FALSE(pool.submit([] { return 1; }).get(patience()));
  EXPECT_TRUE(pool.drain(patience()));
}

TEST(PoolFailure, to_get_memory_for_a_worker_is_told) {
  if (sanitized) GTEST_SKIP() << "a sanitizer needs more address space than any limit";
  Pool pool({.workers = 1, .memory_max = 1 << 20});
  auto task = pool.submit([] { return 1; });
  ASSERT_FALSE(task.get(patience()));
  EXPECT_EQ(task.failure()->cause, FailureCause::could_not_start);
}

TEST(PoolFailure, of_a_task_that_takes_all_memory_is_its_own) {
  if (sanitized) GTEST_SKIP() << "a sanitizer needs more address space than any limit";
  Pool pool({.workers = 1, .memory_max = std::uint64_t{1} << 30});
  auto task = pool.submit([] {
    std::vector<std::vector<char>> all;
    for (;;) all.emplace_back(64 << 20, 'x');
  });
  ASSERT_FALSE(task.get(patience()));
  EXPECT_EQ(task.failure()->cause, FailureCause::out_of_memory);
  EXPECT_EQ(pool.submit([] { return 1; }).get(patience()).value(), 1);
}

TEST(PoolFailure, of_a_task_that_forks_or_closes_everything_does_not_stop_the_pool) {
  int child = 0;
  {
    Pool pool({.workers = 1, .grace = 10ms});
    auto closes = pool.submit([] { ::close_range(3, ~0U, 0); });
    (void)closes.get(patience());  // either way
    EXPECT_EQ(pool.submit([] { return 1; }).get(patience()).value(), 1);
    auto forks = pool.submit([] {
      const pid_t pid = ::fork();
      if (pid == 0) {
        for (;;) ::pause();
      }
      return static_cast<int>(pid);
    });
    child = forks.get(patience()).value();
    EXPECT_EQ(pool.submit([] { return 2; }).get(patience()).value(), 2);
  }
  await_end(child);
}

TEST(PoolFailure, of_nothing_is_seen_when_many_threads_submit_and_cancel) {
  Pool pool({.workers = 2, .pending_max = 64, .grace = 10ms});
  const int each = (sanitized ? 500 : 2500) * test::rounds(1);
  std::atomic<int> results{0}, cancelled{0}, timed_out{0}, other{0};
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::minstd_rand random(seed + 1);
      std::vector<Future<unsigned>> mine;
      for (int i = 0; i < each; ++i) {
        TaskOptions options;
        if (random() % 16 == 0) options.timeout = std::chrono::microseconds(random() % 2000 + 1);
        const unsigned value = static_cast<unsigned>(random());
        mine.push_back(pool.submit_with(
            options,
            [](unsigned x) {
              for (unsigned spin = 0; spin < x % 1000; ++spin) asm volatile("");
              return x;
            },
            value));
        if (random() % 4 == 0) mine[random() % mine.size()].cancel();
      }
      for (auto& future : mine) {
        const auto result = future.get(patience());
        if (result) {
          ++results;
        } else if (result.error().is(Errc::cancelled)) {
          ++cancelled;
        } else if (future.failure() != nullptr &&
                   future.failure()->cause == FailureCause::timed_out) {
          ++timed_out;
        } else {
          ++other;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(results + cancelled + timed_out, 4 * each);
  EXPECT_EQ(other, 0);
  EXPECT_GT(cancelled, 0);
}

}  // namespace
}  // namespace bulkhead
