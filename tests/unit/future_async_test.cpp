// Futures within Asio: as coroutines, as callbacks, cancelled.
#include <gtest/gtest.h>
#include <bulkhead/future_async.hpp>
#include <bulkhead/pool.hpp>

#include <sched.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <optional>
#include <string>
#include <thread>

namespace bulkhead {
namespace {

namespace asio = boost::asio;

class FutureAsync : public testing::Test {
 protected:
  Pool pool{{.where = Where::threads, .workers = 2}};
  asio::io_context context;
};

TEST_F(FutureAsync, is_awaited_by_a_coroutine_on_its_own_thread) {
  std::string told;
  std::thread::id where;
  asio::co_spawn(
      context,
      [&]() -> asio::awaitable<void> {
        const auto sum = co_await async_get(pool.submit([](int a, int b) { return a + b; }, 40, 2),
                                            asio::use_awaitable);
        const auto failed = co_await async_get(pool.submit([] { throw 1; }), asio::use_awaitable);
        told = std::to_string(sum.value()) + (failed ? "" : " and a failure");
        where = std::this_thread::get_id();
      },
      asio::detached);
  context.run();
  EXPECT_EQ(told, "42 and a failure");
  EXPECT_EQ(where, std::this_thread::get_id());
}

TEST_F(FutureAsync, of_a_task_that_is_done_completes_too) {
  const auto done = pool.submit([] { return 5; });
  ASSERT_TRUE(done.wait());
  std::optional<int> got;
  async_get(done, asio::bind_executor(context, [&](Result<int> result) { got = result.value(); }));
  EXPECT_FALSE(got);  // never within the call
  context.run();
  EXPECT_EQ(got, 5);
}

TEST_F(FutureAsync, cancels_its_task_through_the_slot) {
  asio::cancellation_signal signal;
  std::optional<Error> told;
  async_get(pool.submit([] {
    while (!Pool::stop_requested()) ::sched_yield();
  }),
            asio::bind_executor(
                context, asio::bind_cancellation_slot(signal.slot(), [&](Result<void> result) {
                  if (!result) told = result.error();
                })));
  signal.emit(asio::cancellation_type::terminal);
  context.run();
  ASSERT_TRUE(told);
  EXPECT_TRUE(told->is(Errc::cancelled));
}

}  // namespace
}  // namespace bulkhead
