// The templates of <bulkhead/spmd.hpp>, which includes this file; include that one. How typed calls become calls in bytes,
// and how a function becomes the tasks of a pool; knows nothing of the memory between ranks.
#pragma once

#include <bulkhead/spmd.hpp>
#include <concepts>

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
  void watch(std::shared_ptr<TaskState>);
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

template <detail::SpmdValue T>
Result<T> Communicator::broadcast(T value, unsigned root, Deadline deadline) {
  auto done = broadcast(std::span<T>(&value, 1), root, deadline);
  if (!done) return done.error();
  return value;
}
template <detail::SpmdRange Values>
Result<void> Communicator::broadcast(Values&& values, unsigned root, Deadline deadline) {
  const auto all = detail::output_of(values);
  using T = typename decltype(all)::element_type;
  return exchange<T>(detail::CollectiveKind::broadcast, root, all, all, deadline);
}

template <detail::SpmdRange From>
auto Communicator::scatter(const From& from, unsigned root, Deadline deadline)
    -> Result<std::ranges::range_value_t<From>> {
  std::ranges::range_value_t<From> part{};
  auto done = scatter(from, std::span(&part, 1), root, deadline);
  if (!done) return done.error();
  return part;
}
template <class From, class To>
requires detail::SpmdRanges<From, To> Result<void> Communicator::scatter(const From& from, To&& to,
                                                                         unsigned root,
                                                                         Deadline deadline) {
  return exchange(detail::CollectiveKind::scatter, root, detail::input_of(from),
                  detail::output_of(to), deadline);
}

template <detail::SpmdValue T>
Result<std::vector<T>> Communicator::gather(const T& value, unsigned root, Deadline deadline) {
  std::vector<T> all(rank() == root ? size() : 0);
  auto done = gather(std::span(&value, 1), all, root, deadline);
  if (!done) return done.error();
  return all;
}
template <class From, class To>
requires detail::SpmdRanges<From, To> Result<void> Communicator::gather(const From& from, To&& to,
                                                                        unsigned root,
                                                                        Deadline deadline) {
  return exchange(detail::CollectiveKind::gather, root, detail::input_of(from),
                  detail::output_of(to), deadline);
}
template <detail::SpmdValue T>
Result<std::vector<T>> Communicator::all_gather(const T& value, Deadline deadline) {
  std::vector<T> all(size());
  auto done = all_gather(std::span(&value, 1), all, deadline);
  if (!done) return done.error();
  return all;
}
template <class From, class To>
requires detail::SpmdRanges<From, To> Result<void> Communicator::all_gather(const From& from,
                                                                            To&& to,
                                                                            Deadline deadline) {
  return exchange(detail::CollectiveKind::all_gather, 0, detail::input_of(from),
                  detail::output_of(to), deadline);
}

template <detail::SpmdValue T, class Operation>
Result<T> Communicator::reduce(const T& value, Operation operation, unsigned root,
                               Deadline deadline) {
  T result = value;
  auto done =
      fold<T>(detail::CollectiveKind::reduce, root, {&value, 1}, {&result, 1}, operation, deadline);
  if (!done) return done.error();
  return result;
}
template <class From, class To, class Operation>
requires detail::SpmdRanges<From, To> Result<void> Communicator::reduce(const From& from, To&& to,
                                                                        Operation operation,
                                                                        unsigned root,
                                                                        Deadline deadline) {
  return fold(detail::CollectiveKind::reduce, root, detail::input_of(from), detail::output_of(to),
              operation, deadline);
}
template <detail::SpmdValue T, class Operation>
Result<T> Communicator::all_reduce(const T& value, Operation operation, Deadline deadline) {
  T result = value;
  auto done = fold<T>(detail::CollectiveKind::all_reduce, 0, {&value, 1}, {&result, 1}, operation,
                      deadline);
  if (!done) return done.error();
  return result;
}
template <class From, class To, class Operation>
requires detail::SpmdRanges<From, To> Result<void> Communicator::all_reduce(const From& from,
                                                                            To&& to,
                                                                            Operation operation,
                                                                            Deadline deadline) {
  return fold(detail::CollectiveKind::all_reduce, 0, detail::input_of(from), detail::output_of(to),
              operation, deadline);
}
template <detail::SpmdValue T, class Operation>
Result<T> Communicator::scan(const T& value, Operation operation, Deadline deadline) {
  T result = value;
  auto done =
      fold<T>(detail::CollectiveKind::scan, 0, {&value, 1}, {&result, 1}, operation, deadline);
  if (!done) return done.error();
  return result;
}
template <class From, class To, class Operation>
requires detail::SpmdRanges<From, To> Result<void> Communicator::scan(const From& from, To&& to,
                                                                      Operation operation,
                                                                      Deadline deadline) {
  return fold(detail::CollectiveKind::scan, 0, detail::input_of(from), detail::output_of(to),
              operation, deadline);
}

template <class From, class To>
requires detail::SpmdRanges<From, To> Result<void> Communicator::all_to_all(const From& from,
                                                                            To&& to,
                                                                            Deadline deadline) {
  return exchange(detail::CollectiveKind::all_to_all, 0, detail::input_of(from),
                  detail::output_of(to), deadline);
}

}  // namespace bulkhead
