// A pool of real processes, as a program uses it.
#include <gtest/gtest.h>
#include <bulkhead/pool.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <numeric>
#include <set>
#include <stdexcept>
#include <thread>

#include "tests/process/pool_signs.hpp"
#include "tests/support/descriptors.hpp"

namespace bulkhead {
namespace {

using test::patience;
using namespace std::chrono_literals;

std::vector<std::uint64_t> numbers_up_to(std::uint64_t count) {
  std::vector<std::uint64_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), std::uint64_t{0});
  return numbers;
}

TEST(Pool, runs_a_lambda_with_its_captures_in_another_process) {
  Pool pool({.workers = 2});
  const int factor = 3;
  auto product = pool.submit([factor](int x) { return factor * x; }, 7);
  EXPECT_EQ(product.get(patience()).value(), 21);
  EXPECT_EQ(product.get(patience()).value(), 21);  // as often as one likes
  EXPECT_NE(pool.submit([] { return ::getpid(); }).get(patience()).value(), ::getpid());
}

TEST(Pool, carries_strings_containers_and_nothing) {
  Pool pool({.workers = 1});
  auto joined = pool.submit(
      [](const std::string& a, std::vector<std::string>& more) {
        std::string all = a;
        for (const auto& each : more) all += each;
        return all;
      },
      std::string("a"), std::vector<std::string>{"b", "c"});
  EXPECT_EQ(joined.get(patience()).value(), "abc");
  EXPECT_TRUE(pool.submit([] {}).get(patience()));
}

TEST(Pool, carries_what_is_larger_than_its_channel) {
  Pool pool({.workers = 1});
  const std::string large(5'000'000, 'x');
  auto back = pool.submit([](std::string& text) { return text + "y"; }, large);
  const auto text = back.get(patience());
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_EQ(text->size(), large.size() + 1);
  EXPECT_EQ(text->back(), 'y');
}

TEST(Pool, hands_sealed_buffers_there_and_back_without_a_copy) {
  Pool pool({.workers = 1});
  const std::vector<std::byte> content(100'000, std::byte{7});
  const auto buffer = SealedBuffer::copy_of("content", content).value();
  auto size = pool.submit([](SealedBuffer& given) { return given.bytes().size(); }, buffer);
  EXPECT_EQ(size.get(patience()).value(), content.size());
  auto made = pool.submit([] {
    const std::vector<std::byte> bytes(50'000, std::byte{9});
    return SealedBuffer::copy_of("made", bytes).value();
  });
  const auto got = made.get(patience());
  ASSERT_TRUE(got) << got.error().to_string();
  EXPECT_EQ(got->bytes().size(), 50'000U);
  EXPECT_EQ(got->bytes()[49'999], std::byte{9});
}

// More than the channel holds, so that some are sent only at the second try.
TEST(Pool, brings_each_task_its_own_array_when_the_channel_is_full) {
  Pool pool({.workers = 1});
  std::vector<Future<int>> futures;
  for (int i = 0; i < 100; ++i) {
    auto array = SharedArray<int>::create(1).value();
    array[0] = i;
    futures.push_back(
        pool.submit([](const std::string&, const SharedArray<int>& own) { return own[0]; },
                    std::string(30'000, '.'), array));
  }
  for (int i = 0; i < 100; ++i) {
    const auto result = futures[static_cast<std::size_t>(i)].get(patience());
    ASSERT_TRUE(result) << i << ": " << result.error().to_string();
    EXPECT_EQ(*result, i);
  }
}

TEST(Pool, refuses_more_arrays_at_once_than_its_socket_holds) {
  Pool pool({.workers = 1});
  const auto arrays = [](std::size_t count) {
    std::vector<SharedArray<int>> all;
    while (all.size() < count) all.push_back(SharedArray<int>::create(1).value());
    return all;
  };
  const auto count = [](const std::vector<SharedArray<int>>& all) { return all.size(); };
  EXPECT_EQ(pool.submit(count, arrays(128)).get(patience()).value(), 128U);
  EXPECT_TRUE(pool.submit(count, arrays(129)).get(patience()).error().is(Errc::out_of_budget));
  const auto refused = pool.map(arrays(400), [](const SharedArray<int>& one) { return one[0]; });
  EXPECT_EQ(refused.failures.size(), 1U);
  const auto results = pool.submit(arrays, std::size_t{129}).get(patience());
  ASSERT_FALSE(results);
  EXPECT_TRUE(results.error().is(Errc::out_of_budget)) << results.error().to_string();
  EXPECT_EQ(pool.submit(arrays, std::size_t{128}).get(patience()).value().size(), 128U);
}

TEST(Pool, shares_an_array_that_tasks_write_by_ranges) {
  Pool pool({.workers = 2});
  auto array = SharedArray<std::uint64_t>::create(1000).value();
  const auto done = pool.for_each(
      0, 10,
      [](std::uint64_t part, SharedArray<std::uint64_t>& all) {
        for (std::uint64_t i = part * 100; i < (part + 1) * 100; ++i) all[i] = i * i;
      },
      array);
  EXPECT_TRUE(done.complete());
  for (std::uint64_t i = 0; i < 1000; ++i) ASSERT_EQ(array[i], i * i);
}

TEST(Pool, crashes_the_task_that_writes_to_an_array_it_may_only_read) {
  Pool pool({.workers = 1});
  auto array = SharedArray<int>::create(10).value();
  array[3] = 5;
  auto read = pool.submit([](SharedArray<const int>& all) { return all[3]; }, array.read_only());
  EXPECT_EQ(read.get(patience()).value(), 5);
  auto written = pool.submit([](SharedArray<const int>& all) { const_cast<int&>(all[3]) = 6; },
                             array.read_only());
  ASSERT_FALSE(written.get(patience()));
  // A sanitizer ends the worker by an exit.
  const auto cause = written.failure()->cause;
  EXPECT_TRUE(cause == FailureCause::signal || cause == FailureCause::exited);
  EXPECT_EQ(array[3], 5);
}

TEST(Pool, maps_in_order_plain_values_and_others) {
  Pool pool({.workers = 2});
  const auto numbers = numbers_up_to(100'000);
  const auto squares = pool.map(numbers, [](std::uint64_t x) { return x * x; });
  ASSERT_TRUE(squares.complete());
  for (const auto x : numbers) ASSERT_EQ(squares.values[x], x * x);
  const std::vector<std::string> words{"a", "bb", "ccc"};
  const auto doubled = pool.map(words, [](const std::string& word) { return word + word; });
  EXPECT_EQ(doubled.values, (std::vector<std::string>{"aa", "bbbb", "cccccc"}));
  const auto lengths = pool.map(words, [](const std::string& word) { return word.size(); });
  EXPECT_EQ(lengths.values, (std::vector<std::size_t>{1, 2, 3}));
  EXPECT_TRUE(pool.map(std::vector<int>{}, [](int x) { return x; }).values.empty());
  const auto sums = pool.starmap(std::vector<std::tuple<int, int>>{{1, 2}, {3, 4}},
                                 [](int a, int b) { return a + b; });
  EXPECT_EQ(sums.values, (std::vector<int>{3, 7}));
}

TEST(Pool, gives_every_item_the_shared_arguments) {
  Pool pool({.workers = 2});
  const std::vector<int> items{1, 2, 3};
  const auto named = pool.map(
      items, [](int item, const std::string& name) { return name + std::to_string(item); },
      std::string("n"));
  EXPECT_EQ(named.values, (std::vector<std::string>{"n1", "n2", "n3"}));
}

TEST(Pool, hands_on_unordered_results_while_it_takes_more_items) {
  Pool pool({.workers = 2});
  const auto numbers = numbers_up_to(60'000);  // several blocks
  std::vector<bool> seen(numbers.size());
  std::size_t times = 0;
  const auto done = pool.map_unordered(
      numbers, [](std::uint64_t x) { return x + 1; },
      [&](std::size_t index, std::uint64_t result) {
        EXPECT_EQ(result, index + 1);
        seen[index] = true;
        ++times;
      });
  EXPECT_TRUE(done.complete());
  EXPECT_EQ(times, numbers.size());
  EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](bool each) { return each; }));
}

TEST(Pool, is_as_it_was_when_the_consumer_of_a_stream_throws) {
  Pool pool({.workers = 2});
  const auto numbers = numbers_up_to(60'000);
  EXPECT_THROW((void)pool.map_unordered(
                   numbers, [](std::uint64_t x) { return x; },
                   [](std::size_t, std::uint64_t) { throw std::runtime_error("enough"); }),
               std::runtime_error);
  EXPECT_TRUE(pool.drain(patience()));
  EXPECT_EQ(pool.submit([] { return 1; }).get(patience()).value(), 1);
}

TEST(Pool, reduces_in_order) {
  Pool pool({.workers = 2});
  const auto sum = pool.reduce(
      1, 1001, std::string(), [](std::uint64_t i) { return std::to_string(i) + ","; },
      [](std::string a, const std::string& b) { return std::move(a) + b; });
  std::string expected;
  for (int i = 1; i < 1001; ++i) expected += std::to_string(i) + ",";
  EXPECT_EQ(sum.value(), expected);
  auto array = SharedArray<int>::create(100).value();
  for (int i = 0; i < 100; ++i) array[static_cast<std::size_t>(i)] = i;
  const auto largest = pool.reduce(
      0, 100, 0, [](std::uint64_t i, SharedArray<const int>& all) { return all[i]; },
      [](int a, int b) { return std::max(a, b); }, array.read_only());
  EXPECT_EQ(largest.value(), 99);
  EXPECT_EQ(pool.reduce(
                    5, 5, 7, [](std::uint64_t) { return 1; }, [](int a, int b) { return a + b; })
                .value(),
            7);
}

TEST(Pool, brings_exceptions_back_and_throws_them_again_as_what_they_are) {
  Pool pool({.workers = 1});
  auto thrown = pool.submit(
      [](int key) -> int {
        try {
          throw std::out_of_range("no key " + std::to_string(key));
        } catch (...) {
          std::throw_with_nested(std::runtime_error("lookup"));
        }
      },
      7);
  const auto result = thrown.get(patience());
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::task_failed));
  ASSERT_NE(thrown.failure(), nullptr);
  ASSERT_EQ(thrown.failure()->thrown.size(), 2U);
  EXPECT_EQ(thrown.failure()->thrown[0].type, "std::runtime_error");
  EXPECT_THROW(thrown.value(patience()), std::runtime_error);
  EXPECT_EQ(thrown.failure()->thrown[1].type, "std::out_of_range");
  EXPECT_EQ(thrown.failure()->thrown[1].what, "no key 7");
  auto plain = pool.submit([]() -> int { throw std::out_of_range("gone"); });
  EXPECT_THROW(plain.value(patience()), std::out_of_range);
  auto odd = pool.submit([] { throw 5; });
  ASSERT_FALSE(odd.get(patience()));
  EXPECT_EQ(odd.failure()->thrown.at(0).type, "int");
  EXPECT_EQ(pool.stats().died, 0U);
}

struct OwnError : std::runtime_error {
  using runtime_error::runtime_error;
};

TEST(Pool, throws_again_what_was_registered) {
  Pool pool({.workers = 1});
  auto before = pool.submit([] { throw OwnError("x"); });
  EXPECT_THROW(before.value(patience()), boost::system::system_error);
  rethrow_as<OwnError>();
  auto after = pool.submit([] { throw OwnError("y"); });
  try {
    after.value(patience());
    FAIL();
  } catch (const OwnError& error) {
    EXPECT_STREQ(error.what(), "y");
  }
}

TEST(Pool, gives_the_error_that_a_task_returned) {
  Pool pool({.workers = 1});
  auto task = pool.submit(
      [](bool fail) -> Result<int> {
        if (fail) return make_error(Errc::not_found, "the needle");
        return 5;
      },
      true);
  const auto result = task.get(patience());
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::not_found));
  EXPECT_EQ(result.error().context, "the needle");
  EXPECT_EQ(task.failure()->cause, FailureCause::error);
}

TEST(Pool, lists_items_that_throw_and_has_all_other_results) {
  Pool pool({.workers = 2});
  const auto numbers = numbers_up_to(1000);
  const auto mapped = pool.map(numbers, [](std::uint64_t x) -> std::uint64_t {
    if (x == 10 || x == 500) throw std::invalid_argument("not " + std::to_string(x));
    return x;
  });
  ASSERT_EQ(mapped.failures.size(), 2U);
  EXPECT_EQ(mapped.failures[0].item, 10U);
  EXPECT_EQ(mapped.failures[1].item, 500U);
  EXPECT_EQ(mapped.failures[1].failure.in_words(), "std::invalid_argument: not 500");
  EXPECT_EQ(mapped.failures[1].failure.attempts, 1U);
  EXPECT_EQ(mapped.values[499], 499U);
}

TEST(Pool, calls_who_waits_and_lists_who_is_ready) {
  Pool pool({.workers = 2});
  test::Signs signs(2);
  std::vector<Future<int>> futures;
  futures.push_back(pool.submit(
      [](test::Signs& all) {
        all.await(0);
        return 1;
      },
      signs));
  futures.push_back(pool.submit([] { return 2; }));
  AsCompleted completed(futures);
  EXPECT_EQ(completed.next(patience()).value(), 1U);
  std::atomic<int> called{0};
  futures[0].then([&](Future<int> ready) {
    called = ready.get().value();
    called.notify_all();
  });
  signs.give(0);
  EXPECT_EQ(completed.next(patience()).value(), 0U);
  EXPECT_TRUE(completed.next(patience()).error().is(Errc::not_found));
  called.wait(0);
  EXPECT_EQ(called, 1);
}

TEST(Pool, runs_tasks_by_priority_and_then_in_their_order) {
  Pool pool({.workers = 1});
  test::Signs signs(1);
  auto order = SharedArray<int>::create(4).value();
  auto first = pool.submit([](test::Signs& all) { all.await(0); }, signs);
  const auto note = [](SharedArray<int>& all, int me) {
    all[static_cast<std::size_t>(++all[3] - 1)] = me;
  };
  std::vector<Future<void>> rest;
  // A time limit keeps them in the queue until the worker is idle.
  rest.push_back(pool.submit_with({.timeout = 60s, .priority = 0}, note, order, 1));
  rest.push_back(pool.submit_with({.timeout = 60s, .priority = 0}, note, order, 2));
  rest.push_back(pool.submit_with({.timeout = 60s, .priority = 5}, note, order, 3));
  signs.give(0);
  for (auto& each : rest) EXPECT_TRUE(each.get(patience()));
  EXPECT_EQ(std::vector<int>(order.begin(), order.begin() + 3), (std::vector<int>{3, 1, 2}));
}

TEST(Pool, replaces_a_worker_after_so_many_tasks) {
  Pool pool({.workers = 1, .tasks_per_worker_max = 2});
  std::vector<int> pids;
  for (int i = 0; i < 6; ++i) {
    pids.push_back(
        pool.submit([] { return static_cast<int>(::getpid()); }).get(patience()).value());
  }
  EXPECT_EQ(std::set<int>(pids.begin(), pids.end()).size(), 3U);
  EXPECT_EQ(pids[0], pids[1]);
}

TEST(Pool, grows_and_shrinks) {
  Pool pool({.workers = 1});
  pool.resize(3);
  test::Signs signs(4);
  std::vector<Future<void>> together;
  for (int i = 0; i < 3; ++i) {
    together.push_back(pool.submit_with(
        {.timeout = 60s},
        [](test::Signs& all, int me) {
          all.give(static_cast<std::size_t>(me));
          for (std::size_t other = 0; other < 3; ++other) all.await(other);
        },
        signs, i));
  }
  for (auto& each : together) EXPECT_TRUE(each.get(patience()));  // three at once, or never
  pool.resize(1);
  EXPECT_EQ(pool.stats().workers, 1U);
  EXPECT_EQ(pool.submit([] { return 1; }).get(patience()).value(), 1);
  const auto sum = pool.map(numbers_up_to(1000), [](std::uint64_t x) { return x; });
  EXPECT_TRUE(sum.complete());
}

TEST(Pool, shrinks_before_its_workers_are_up) {
  Pool pool({.workers = 8});
  pool.resize(1);
  const auto limit = patience();
  while (pool.stats().died < 7 && !limit.expired()) std::this_thread::yield();
  EXPECT_EQ(pool.stats().died, 7U);
  EXPECT_LE(pool.pids().size(), 1U);
}

// One thread that waits takes reports itself, with the doorbells disarmed.
TEST(Pool, tells_who_sleeps_after_somebody_has_looked_for_another_result) {
  Pool pool({.workers = 1});
  for (int round = 0; round < 10; ++round) {
    test::Signs signs(2);
    // Ends while we look for it, in one round or another.
    auto first = pool.submit(
        [round](test::Signs& all) {
          while (!all.given(0)) {
          }
          for (int turn = 0; turn < 5000 * round; ++turn) asm volatile("");
        },
        signs);
    auto second = pool.submit([](test::Signs& all) { all.await(1); }, signs);
    std::promise<void> told;
    second.then([&told](const Future<void>&) { told.set_value(); });
    EXPECT_FALSE(pool.drain(Deadline::in(30ms)));  // by then the pool's thread is fast asleep
    signs.give(0);
    EXPECT_TRUE(first.get(patience()));
    signs.give(1);
    ASSERT_EQ(told.get_future().wait_for(60s), std::future_status::ready);
  }
}

TEST(Pool, runs_its_initializer_in_each_worker_first) {
  Pool pool({.workers = 2, .initializer = [] { ::setenv("POOL_TEST_READY", "yes", 1); }});
  for (int i = 0; i < 4; ++i) {
    auto ready = pool.submit(
        [] { return std::string(::getenv("POOL_TEST_READY") != nullptr ? "yes" : "no"); });
    EXPECT_EQ(ready.get(patience()).value(), "yes");
  }
  EXPECT_EQ(::getenv("POOL_TEST_READY"), nullptr);
}

TEST(Pool, within_a_task_gets_its_share_of_the_processors) {
  Pool pool({.workers = 2});
  auto inner = pool.submit([] {
    Pool own;
    const auto sum = own.reduce(
        0, 100, 0, [](std::uint64_t i) { return static_cast<int>(i); },
        [](int a, int b) { return a + b; });
    return std::pair<unsigned, int>(own.stats().workers, sum.value());
  });
  const auto result = inner.get(patience());
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->first,
            std::max(1U, static_cast<unsigned>(std::thread::hardware_concurrency()) / 2));
  EXPECT_EQ(result->second, 4950);
}

TEST(Pool, waits_for_room_when_too_much_is_pending) {
  Pool pool({.workers = 1, .pending_max = 4});
  std::vector<Future<int>> futures;
  for (int i = 0; i < 200; ++i) futures.push_back(pool.submit([](int x) { return x; }, i));
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(patience()).value(), i);
  }
  EXPECT_TRUE(pool.drain(patience()));
}

TEST(Pool, ends_what_is_pending_when_it_ends) {
  std::optional<Future<void>> running, waiting;
  {
    Pool pool({.workers = 1});
    running = pool.submit_with({.timeout = 600s}, [] {
      for (;;) ::pause();
    });
    waiting = pool.submit_with({.timeout = 600s}, [] {});
  }
  EXPECT_TRUE(running->get(patience()).error().is(Errc::closed));
  EXPECT_EQ(waiting->failure()->cause, FailureCause::closed);
}

TEST(Pool, forks_its_workers_unless_it_must_not) {
  {
    Pool pool({.workers = 1});
    EXPECT_EQ(pool.submit([] { return 1; }).get(patience()).value(), 1);
    EXPECT_EQ(pool.stats().exec_reason, test::fork_is_possible ? "" : pool.stats().exec_reason);
  }
  {
    Pool pool({.workers = 1, .exec_workers = true});
    EXPECT_EQ(pool.submit([](int x) { return x; }, 3).get(patience()).value(), 3);
    EXPECT_EQ(pool.stats().exec_reason, "exec_workers");
  }
  ::setenv("POOL_TEST_EARLY_THREAD", "1", 1);
  Pool pool({.workers = 1});
  ::unsetenv("POOL_TEST_EARLY_THREAD");
  EXPECT_EQ(pool.submit([](int x) { return x; }, 4).get(patience()).value(), 4);
  EXPECT_NE(pool.stats().exec_reason.find("threads before main"), std::string::npos)
      << pool.stats().exec_reason;
}

TEST(Pool, leaves_nothing_behind) {
  { Pool warm({.workers = 1}); }
  const auto descriptors = test::open_descriptors();
  for (int round = 0; round < test::rounds(2); ++round) {
    std::vector<Pool> pools;
    for (int i = 0; i < 16; ++i) pools.emplace_back(PoolOptions{.workers = 2});
    for (auto& pool : pools) EXPECT_EQ(pool.submit([] { return 1; }).get(patience()).value(), 1);
  }
  EXPECT_EQ(test::open_descriptors(), descriptors);
  EXPECT_TRUE(test::children().empty());
}

}  // namespace
}  // namespace bulkhead
