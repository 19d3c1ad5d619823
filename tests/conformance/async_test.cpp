// Channels as Asio I/O objects: callbacks, futures, coroutines, cancellation.
#include <bulkhead/async.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <thread>

#include "tests/conformance/pair_test.hpp"
#include "tests/conformance/test_brain.hpp"

namespace bulkhead::test {
namespace {

namespace asio = boost::asio;

class Async : public PairTest {
 protected:
  // The system executor keeps its descriptors until the process ends: before the first count.
  static void SetUpTestSuite() {
    auto pair = connected_pair(Transport::unix_socket).value();
    auto received = pair.second.async_receive(asio::use_future);
    EXPECT_TRUE(pair.first.send({}, soon()));
    EXPECT_TRUE(received.get());
  }
  void SetUp() override { context_.emplace(); }
  void TearDown() override {
    context_.reset();
    PairTest::TearDown();
  }
  void run() { context_->run_for(std::chrono::seconds(30)); }

  std::optional<asio::io_context> context_;
};
BULKHEAD_OVER_ALL_TRANSPORTS(Async);

asio::awaitable<void> echo(Channel& channel, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    auto message = co_await channel.async_receive(asio::use_awaitable);
    EXPECT_TRUE(message);
    if (!message) co_return;
    const auto sent = co_await channel.async_send(message->bytes(), asio::use_awaitable);
    EXPECT_TRUE(sent);
  }
}

asio::awaitable<void> ask(Channel& channel, int rounds, int& answered) {
  for (int i = 0; i < rounds; ++i) {
    const std::string question = "question " + std::to_string(i);
    const auto sent = co_await channel.async_send(as_bytes(question), asio::use_awaitable);
    EXPECT_TRUE(sent);
    auto message = co_await channel.async_receive(asio::use_awaitable);
    EXPECT_TRUE(message);
    if (!message) co_return;
    EXPECT_EQ(text_of(*message), question);
    ++answered;
  }
}

TEST_P(Async, two_coroutines_talk_on_one_thread) {
  auto [a, b] = make_pair();
  int answered = 0;
  asio::co_spawn(*context_, echo(b, 200), asio::detached);
  asio::co_spawn(*context_, ask(a, 200, answered), asio::detached);
  run();
  EXPECT_EQ(answered, 200);
}

TEST_P(Async, a_receive_that_waits_is_completed_by_a_later_send) {
  auto [a, b] = make_pair();
  std::string received;
  b.async_receive(asio::bind_executor(*context_, [&](Result<Message> message) {
    ASSERT_TRUE(message);
    received = text_of(*message);
  }));
  context_->poll();
  EXPECT_EQ(received, "");
  send_text(a, "later");
  run();
  EXPECT_EQ(received, "later");
}

TEST_P(Async, a_completion_never_runs_inside_the_call) {
  auto [a, b] = make_pair();
  send_text(a, "there already");
  bool completed = false;
  b.async_receive(asio::bind_executor(*context_, [&](Result<Message>) { completed = true; }));
  EXPECT_FALSE(completed);
  run();
  EXPECT_TRUE(completed);
}

TEST_P(Async, a_send_waits_for_room) {
  ChannelOptions options;
  options.capacity = std::size_t{64} << 10;
  options.max_message = 16'000;
  auto [a, b] = make_pair(options);
  const Bytes message(10'000);
  const std::size_t before = fill(a, message);
  bool sent = false;
  a.async_send(message, asio::bind_executor(*context_, [&](Result<void> result) {
                 EXPECT_TRUE(result);
                 sent = true;
               }));
  context_->poll();
  EXPECT_FALSE(sent);
  std::thread receiver([&, &to = b] {
    for (std::size_t i = 0; i < before + 1; ++i) EXPECT_EQ(receive_text(to).size(), 10'000U);
  });
  run();
  EXPECT_TRUE(sent);
  receiver.join();
}

TEST_P(Async, futures_run_without_a_context_of_their_own) {
  auto [a, b] = make_pair();
  auto received = b.async_receive(asio::use_future);
  auto sent = a.async_send(as_bytes("from the future"), asio::use_future);
  EXPECT_TRUE(sent.get());
  auto message = received.get();
  ASSERT_TRUE(message);
  EXPECT_EQ(text_of(*message), "from the future");
}

TEST_P(Async, deferred_operations_start_when_they_are_asked_to) {
  auto [a, b] = make_pair();
  auto operation = b.async_receive(asio::deferred);
  send_text(a, "deferred");
  std::string received;
  std::move(operation)(asio::bind_executor(*context_, [&](Result<Message> message) {
    ASSERT_TRUE(message);
    received = text_of(*message);
  }));
  run();
  EXPECT_EQ(received, "deferred");
}

TEST_P(Async, cancellation_ends_the_wait_and_takes_nothing) {
  auto [a, b] = make_pair();
  asio::cancellation_signal signal;
  std::optional<Error> error;
  b.async_receive(asio::bind_cancellation_slot(
      signal.slot(), asio::bind_executor(*context_, [&](Result<Message> message) {
        ASSERT_FALSE(message);
        error = message.error();
      })));
  context_->poll();
  signal.emit(asio::cancellation_type::terminal);
  run();
  ASSERT_TRUE(error);
  EXPECT_TRUE(error->is(Errc::cancelled));
  send_text(a, "not taken");
  EXPECT_EQ(receive_text(b), "not taken");
}

TEST_P(Async, the_end_of_the_link_completes_with_its_error) {
  auto [a, b] = make_pair();
  std::optional<Error> error;
  b.async_receive(asio::bind_executor(*context_, [&](Result<Message> message) {
    ASSERT_FALSE(message);
    error = message.error();
  }));
  context_->poll();
  a.close();
  run();
  ASSERT_TRUE(error);
  EXPECT_TRUE(error->is(Errc::closed));
}

TEST_P(Async, a_restart_of_the_peer_is_waited_for) {
  TestBrain brain(GetParam(), {});
  Channel receiver = brain.start(ipc::Side::to);
  { const Channel first = brain.start(ipc::Side::from); }
  std::uint16_t epoch = 0;
  receiver.async_receive(asio::bind_executor(*context_, [&](Result<Message> message) {
    ASSERT_TRUE(message);
    epoch = message->epoch();
  }));
  context_->poll();
  brain.bury(ipc::Side::from);
  Channel second = brain.start(ipc::Side::from);
  send_text(second, "second life");
  run();
  EXPECT_EQ(epoch, 2U);
}

TEST_P(Async, an_operation_that_its_context_abandons_leaves_nothing_behind) {
  auto [a, b] = make_pair();
  {
    asio::io_context abandoned;
    b.async_receive(asio::bind_executor(abandoned, [](Result<Message>) { FAIL(); }));
    abandoned.poll();
  }
  send_text(a, "still works");
  EXPECT_EQ(receive_text(b), "still works");
}

}  // namespace
}  // namespace bulkhead::test
