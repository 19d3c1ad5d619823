// A pool whose tasks run in this process, in threads or in the call itself: the same program, the same results.
#include <gtest/gtest.h>
#include <bulkhead/pool.hpp>

#include <sched.h>

#include <numeric>
#include <stdexcept>
#include <thread>

namespace bulkhead {
namespace {

using namespace std::chrono_literals;

class LocalPool : public testing::TestWithParam<Where> {
 protected:
  Pool pool{{.where = GetParam(), .workers = 3}};
};

TEST_P(LocalPool, gives_what_processes_would_give) {
  const int factor = 3;
  EXPECT_EQ(pool.submit([factor](int x) { return factor * x; }, 7).get().value(), 21);
  EXPECT_EQ(pool.submit([](const std::string& text) { return text + "!"; }, std::string("hello"))
                .get()
                .value(),
            "hello!");
  std::vector<std::uint64_t> items(20'000);
  std::iota(items.begin(), items.end(), std::uint64_t{0});
  const auto squares = pool.map(items, [](std::uint64_t x) { return x * x; });
  ASSERT_TRUE(squares.complete());
  for (const auto x : items) ASSERT_EQ(squares.values[x], x * x);
  const auto texts = pool.map(items, [](std::uint64_t x) { return std::to_string(x); });
  EXPECT_EQ(texts.values[1234], "1234");
  const auto sum = pool.reduce(
      0, 1001, std::uint64_t{0}, [](std::uint64_t i) { return i; },
      [](std::uint64_t a, std::uint64_t b) { return a + b; });
  EXPECT_EQ(sum.value(), 500'500U);
  std::size_t seen = 0;
  const auto streamed = pool.map_unordered(
      items, [](std::uint64_t x) { return x; }, [&](std::size_t, std::uint64_t) { ++seen; });
  EXPECT_TRUE(streamed.complete());
  EXPECT_EQ(seen, items.size());
}

TEST_P(LocalPool, shares_arrays_and_sealed_buffers) {
  auto array = SharedArray<int>::create(100).value();
  const auto done = pool.for_each(
      0, 100, [](std::uint64_t i, SharedArray<int>& all) { all[i] = static_cast<int>(i); }, array);
  EXPECT_TRUE(done.complete());
  EXPECT_EQ(array[99], 99);
  const std::vector<std::byte> content(100, std::byte{5});
  auto size = pool.submit([](SealedBuffer& buffer) { return buffer; },
                          SealedBuffer::copy_of("content", content).value());
  EXPECT_EQ(size.get().value().bytes().size(), 100U);
}

TEST_P(LocalPool, tells_failures_as_processes_would) {
  auto thrown = pool.submit([]() -> int { throw std::out_of_range("gone"); });
  ASSERT_FALSE(thrown.get());
  EXPECT_EQ(thrown.failure()->cause, FailureCause::exception);
  EXPECT_THROW(thrown.value(), std::out_of_range);
  const auto mapped = pool.map(std::vector<int>{1, 2, 3}, [](int x) {
    if (x == 2) throw std::runtime_error("two");
    return x;
  });
  ASSERT_EQ(mapped.failures.size(), 1U);
  EXPECT_EQ(mapped.failures[0].item, 1U);
  EXPECT_EQ(mapped.values, (std::vector<int>{1, 0, 3}));
}

TEST_P(LocalPool, asks_tasks_and_items_over_their_time_to_stop) {
  const auto until_stopped = [] {
    while (!Pool::stop_requested()) ::sched_yield();
  };
  auto late = pool.submit_with({.timeout = 1ms}, until_stopped);
  ASSERT_FALSE(late.get());
  EXPECT_EQ(late.failure()->cause, FailureCause::timed_out);
  const auto mapped = pool.map_with({.timeout = 200ms}, std::vector<int>{0, 1, 2}, [](int x) {
    while (x == 1 && !Pool::stop_requested()) ::sched_yield();
    return x;
  });
  ASSERT_EQ(mapped.failures.size(), 1U);
  EXPECT_EQ(mapped.failures[0].item, 1U);
  EXPECT_EQ(mapped.failures[0].failure.cause, FailureCause::timed_out);
  EXPECT_FALSE(Pool::stop_requested());
}

INSTANTIATE_TEST_SUITE_P(Everywhere, LocalPool, testing::Values(Where::threads, Where::caller),
                         [](const auto& parameter) {
                           return std::string(parameter.param == Where::threads ? "threads"
                                                                                : "inline");
                         });

TEST(ThreadPool, cancels_what_waits_and_asks_what_runs_to_stop) {
  Pool pool({.where = Where::threads, .workers = 1});
  std::atomic_flag* const begun = new std::atomic_flag;
  const auto address = reinterpret_cast<std::uintptr_t>(begun);
  auto running = pool.submit(
      [](std::uintptr_t flag) {
        auto& started = *reinterpret_cast<std::atomic_flag*>(flag);
        started.test_and_set();
        started.notify_all();
        while (!Pool::stop_requested()) ::sched_yield();
      },
      address);
  auto waiting = pool.submit([] { return 1; });
  begun->wait(false);
  EXPECT_TRUE(waiting.cancel());
  EXPECT_EQ(waiting.failure()->cause, FailureCause::cancelled);
  EXPECT_TRUE(running.cancel());
  EXPECT_TRUE(running.get().error().is(Errc::cancelled));
  EXPECT_FALSE(running.cancel());
  delete begun;
}

TEST(ThreadPool, takes_tasks_from_many_threads_and_loses_none) {
  Pool pool({.where = Where::threads, .workers = 3, .pending_max = 16});
  std::atomic<std::uint64_t> sum{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::vector<Future<unsigned>> futures;
      for (unsigned i = 0; i < 500; ++i)
        futures.push_back(pool.submit([](unsigned x) { return x; }, i * 4 + t));
      for (auto& future : futures) sum += future.get().value();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(sum, 2000U * 1999U / 2);
  EXPECT_TRUE(pool.drain());
  EXPECT_EQ(pool.stats().done, 2000U);
}

TEST(ThreadPool, ends_with_what_waits_unrun) {
  std::optional<Future<int>> waiting;
  {
    Pool pool({.where = Where::threads, .workers = 1});
    auto running = pool.submit([] {
      while (!Pool::stop_requested()) ::sched_yield();
    });
    waiting = pool.submit([] { return 1; });
  }
  EXPECT_TRUE(waiting->get().error().is(Errc::closed));
}

// A task of threads sees the variables of this process.
Pool* pool_of_itself = nullptr;

TEST(LocalThreads, do_not_wait_for_the_room_that_they_would_make) {
  Pool pool({.where = Where::threads, .workers = 1, .pending_max = 1});
  pool_of_itself = &pool;
  const auto outer = pool.submit([] { (void)pool_of_itself->submit([] {}); });
  EXPECT_TRUE(outer.get(Deadline::in(60s)));
  EXPECT_TRUE(pool.drain(Deadline::in(60s)));
}

}  // namespace
}  // namespace bulkhead
