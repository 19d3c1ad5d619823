// Futures as Asio operations: include this where async_get is called. It brings in Boost.Asio.
//
//   asio::co_spawn(context, [&]() -> asio::awaitable<void> {
//     auto sum = co_await bulkhead::async_get(pool.submit(add, 1, 2), asio::use_awaitable);
//     if (sum) use(*sum);
//   }, asio::detached);
#pragma once

#include <bulkhead/future.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>
#include <memory>
#include <utility>

namespace bulkhead {

// Completes with the future's result, as get() would, on the executor associated with the token.
// Completion signature: void(Result<T>). Threads: any. Ownership: keeps the future's state.
// Cancellation: through the slot associated with the token, any type: cancels the task, as Future::cancel(), and
//   completes when that has come to its end.
template <class T, class Token>
auto async_get(const Future<T>& future, Token&& token) {
  return boost::asio::async_initiate<Token, void(Result<T>)>(
      [future](auto handler) {
        auto executor =
            boost::asio::get_associated_executor(handler, boost::asio::system_executor());
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
          slot.assign([future](boost::asio::cancellation_type) { future.cancel(); });
        }
        auto waiting = std::make_shared<decltype(handler)>(std::move(handler));
        // The guard keeps the executor's context running until then.
        future.then([executor, slot, waiting, guard = boost::asio::make_work_guard(executor)](
                        const Future<T>& ready) mutable {
          boost::asio::post(executor, [slot, waiting = std::move(waiting), guard, ready]() mutable {
            if (slot.is_connected()) slot.clear();
            auto complete = std::move(*waiting);
            waiting.reset();
            std::move(complete)(ready.get());
          });
        });
      },
      token);
}

}  // namespace bulkhead
