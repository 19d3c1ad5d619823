// Channels and topics as Asio I/O objects: include this where async_send, async_publish or async_receive is called.
// It brings in Boost.Asio, which no other public header does.
//
//   asio::co_spawn(context, [&]() -> asio::awaitable<void> {
//     auto message = co_await channel.async_receive(asio::use_awaitable);
//     if (message) use(message->bytes());
//   }, asio::detached);
//
// Threads: the operations of one channel count as its sending and its receiving thread: start them
//   where no other call of that direction is under way. Those of a topic's end count as its one thread, and its
//   messages are let go of where none is under way, or on the one thread that runs its executor.
// Executor: waits and completions run on the executor associated with the token; a token without one
//   (asio::use_future) gets Asio's system executor.
// Cancellation: through the slot associated with the token, any type; the result is then
//   Errc::cancelled and nothing was sent, published or taken. Without a slot, close() ends an operation
//   too, within the time that a sleep may last at most (a second).
// Errors: those of the calls that block, except timed_out: a deadline is a timer beside it.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/topic.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/system_executor.hpp>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace bulkhead {
namespace detail {

using SendCompletion = boost::asio::any_completion_handler<void(Result<void>)>;
using ReceiveCompletion = boost::asio::any_completion_handler<void(Result<Message>)>;
using TopicCompletion = boost::asio::any_completion_handler<void(Result<TopicMessage>)>;

void start_send(std::shared_ptr<ipc::Endpoint>, boost::asio::any_io_executor,
                std::vector<std::byte> bytes, SendCompletion);
void start_receive(std::shared_ptr<ipc::Endpoint>, boost::asio::any_io_executor, ReceiveCompletion);
// An error, at the wrong end, is what they complete with.
void start_publish(Result<std::shared_ptr<ipc::TopicPublisher>>, boost::asio::any_io_executor,
                   std::vector<std::byte> bytes, SendCompletion);
void start_topic_receive(Result<std::shared_ptr<ipc::TopicReader>>, boost::asio::any_io_executor,
                         TopicCompletion);

template <class Handler>
boost::asio::any_io_executor executor_of(const Handler& handler) {
  return boost::asio::get_associated_executor(handler, boost::asio::system_executor());
}

}  // namespace detail

template <class Token>
auto Channel::async_send(std::span<const std::byte> bytes, Token&& token) {
  return boost::asio::async_initiate<Token, void(Result<void>)>(
      [endpoint = endpoint_](auto handler, std::vector<std::byte> copy) {
        auto executor = detail::executor_of(handler);
        detail::start_send(endpoint, std::move(executor), std::move(copy), std::move(handler));
      },
      token, std::vector<std::byte>(bytes.begin(), bytes.end()));
}

template <class Token>
auto Channel::async_receive(Token&& token) {
  return boost::asio::async_initiate<Token, void(Result<Message>)>(
      [endpoint = endpoint_](auto handler) {
        auto executor = detail::executor_of(handler);
        detail::start_receive(endpoint, std::move(executor), std::move(handler));
      },
      token);
}

template <class Token>
auto Topic::async_publish(std::span<const std::byte> bytes, Token&& token) {
  return boost::asio::async_initiate<Token, void(Result<void>)>(
      [end = publisher()](auto handler, std::vector<std::byte> copy) {
        auto executor = detail::executor_of(handler);
        detail::start_publish(end, std::move(executor), std::move(copy), std::move(handler));
      },
      token, std::vector<std::byte>(bytes.begin(), bytes.end()));
}

template <class Token>
auto Topic::async_receive(Token&& token) {
  return boost::asio::async_initiate<Token, void(Result<TopicMessage>)>(
      [end = reader()](auto handler) {
        auto executor = detail::executor_of(handler);
        detail::start_topic_receive(end, std::move(executor), std::move(handler));
      },
      token);
}

}  // namespace bulkhead
