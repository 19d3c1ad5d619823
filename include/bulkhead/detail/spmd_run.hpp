// The template of run_spmd(), in <bulkhead/spmd.hpp>, which includes this file; include that one. How a function becomes a
// task of a pool for each rank; knows nothing of collectives.
#pragma once

#include <bulkhead/spmd.hpp>
#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace bulkhead {
namespace detail {

// One run: its pool, its memory, and the pool's word about each rank passed on to the others.
class SpmdRun {
 public:
  // Errors: as run_spmd() says.
  static Result<SpmdRun> begin(const SpmdOptions&, unsigned ranks);

  Pool& pool() noexcept { return pool_; }
  // What each rank is told of the memory.
  const SharedArray<std::byte>& memory() const noexcept { return memory_; }
  static TaskOptions task_options() {
    TaskOptions options;
    options.alone = true;
    return options;
  }
  // The next rank's task.
  void watch(const std::shared_ptr<TaskState>&);
  // Errors: those of the deadline; of a rank that could not be started.
  Result<void> wait(Deadline) const;

 private:
  SpmdRun(Pool pool, SharedArray<std::byte> memory) noexcept
      : pool_(std::move(pool)), memory_(std::move(memory)) {}

  Pool pool_;
  SharedArray<std::byte> memory_;
  std::vector<std::shared_ptr<TaskState>> tasks_;
};

std::shared_ptr<SpmdGroup> join_or_throw(const SharedArray<std::byte>&, std::uint32_t rank);

template <class R>
void keep_rank(SpmdOutcome<R>& outcome, unsigned rank, const Future<R>& future) {
  auto result = future.get(Deadline::now());
  if constexpr (!std::is_void_v<R>) {
    outcome.values.push_back(result ? std::move(*result) : R{});
  }
  if (result) return;
  TaskFailure failure;
  failure.cause = FailureCause::error;
  failure.error = result.error();
  if (future.failure() != nullptr) failure = *future.failure();
  outcome.failures.push_back({rank, std::move(failure)});
}

}  // namespace detail

template <class F, class... Args>
auto run_spmd_with(const SpmdOptions& options, unsigned ranks, F function, const Args&... args) {
  static_assert(
      detail::ShippableCallable<F>,
      "what runs in other processes captures values only: no reference, pointer or object "
      "with a destructor. Pass strings and containers as arguments, large data as a "
      "SharedArray or SealedBuffer");
  using R = detail::Value<std::invoke_result_t<F&, Communicator&, Args&...>>;
  static_assert(std::is_void_v<R> || std::default_initializable<R>,
                "a failed rank's result is R{}");
  auto body = [function](const SharedArray<std::byte>& memory, std::uint32_t rank,
                         Args&... each) mutable -> decltype(auto) {
    Communicator group(detail::join_or_throw(memory, rank));
    return function(group, each...);
  };
  auto run = detail::SpmdRun::begin(options, ranks);
  if (!run) return Result<SpmdOutcome<R>>(run.error());
  std::vector<Future<R>> futures;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    futures.push_back(run->pool().submit_with(detail::SpmdRun::task_options(), body, run->memory(),
                                              rank, args...));
    run->watch(futures.back().state());
  }
  if (auto ended = run->wait(options.deadline); !ended) {
    return Result<SpmdOutcome<R>>(ended.error());
  }
  SpmdOutcome<R> outcome;
  for (unsigned rank = 0; rank < ranks; ++rank) detail::keep_rank(outcome, rank, futures[rank]);
  return Result<SpmdOutcome<R>>(std::move(outcome));
}

}  // namespace bulkhead
