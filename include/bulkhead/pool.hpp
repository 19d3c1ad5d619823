// A pool of processes for CPU-bound work, where a crash costs one task.
//
//   int main(int argc, char** argv) {
//     bulkhead::Pool::entry(argc, argv);                       // first: workers begin here too
//     bulkhead::Pool pool({.workers = 4});
//     auto sum = pool.submit([k](int x) { return k * x; }, 7);  // Future<int>
//     auto squares = pool.map(numbers, [](double x) { return x * x; });
//   }
//
// Callables are lambdas, or any plain type with an operator(), of this binary, with captures that are values. Arguments
// and results are plain values, strings, containers of them, SharedArray, SealedBuffer, or what
// nlohmann::json converts. docs/pool.md is the guide, docs/design/pool.md has the protocol.
#pragma once

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/range_work.hpp>
#include <bulkhead/detail/task_function.hpp>
#include <bulkhead/error.hpp>
#include <bulkhead/future.hpp>
#include <bulkhead/pool_options.hpp>
#include <bulkhead/shared_array.hpp>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace bulkhead {

namespace pool {
class Engine;
}

// Purpose: runs functions of this program in processes of their own.
// Threads: any. Ownership: owns its workers; its end ends them, and every future that is not ready.
// Blocking: submit() while too much is pending; map() and its kind until they are done; the destructor until the
//   workers have gone, which takes milliseconds.
// Errors: a pool always comes to be; where no worker can be had, futures fail with could_not_start and the reason.
// After a crash of a worker: its task fails or is tried again, its other tasks are run by others, and a new worker takes its
//   place. After a crash of the owner: the kernel ends every worker. Of the zygote: it and the workers are replaced.
class Pool {
 public:
  // First in main, before anything that starts threads or reads the arguments. In a worker it does not return.
  static void entry(int argc, char** argv);

  explicit Pool(PoolOptions = {});
  Pool(Pool&&) noexcept;
  Pool& operator=(Pool&&) noexcept;
  ~Pool();

  template <class F, class... Args>
  auto submit(F function, Args&&... args) {
    return submit_with(TaskOptions{}, std::move(function), std::forward<Args>(args)...);
  }
  template <class F, class... Args>
  auto submit_with(const TaskOptions& options, F function, Args&&... args) {
    check_callable<F>();
    using Trampoline = detail::Call<F, std::decay_t<Args>...>;
    detail::BodyWriter body;
    body.write(function);
    (body.write<std::decay_t<Args>>(args), ...);
    return Future<detail::Value<typename Trampoline::Return>>(
        start(detail::task_number<Trampoline>, std::move(body), options));
  }

  // function(item, shared...) for each item of a sized range. The shared arguments are sent once per worker.
  // An item that throws, or that kills its worker, is among the failures, and all others have results.
  template <class Items, class F, class... Shared>
  auto map(const Items& items, F function, const Shared&... shared) {
    return map_with(TaskOptions{}, items, std::move(function), shared...);
  }
  template <class Items, class F, class... Shared>
  auto map_with(const TaskOptions&, const Items&, F, const Shared&...);

  // As map(), of items that are tuples of arguments: function(part..., shared...).
  template <class Items, class F, class... Shared>
  auto starmap(const Items& items, F function, const Shared&... shared) {
    using Item = std::remove_cvref_t<decltype(*std::begin(items))>;
    check_callable<F>();
    return map(
        items,
        [function](Item& item, Shared&... rest) mutable {
          return std::apply([&](auto&... parts) { return function(parts..., rest...); }, item);
        },
        shared...);
  }

  // consume(index, result) on the calling thread, in the order of completion, while others still run. Takes the items
  // one by one from any range, two blocks ahead at the most: memory is bounded however many there are.
  template <class Items, class F, class Consume>
  Mapped<void> map_unordered(Items&& items, F function, Consume consume,
                             const TaskOptions& options = {});

  // function(i, shared...) for begin <= i < end.
  template <class F, class... Shared>
  Mapped<void> for_each(std::uint64_t begin, std::uint64_t end, F function,
                        const Shared&... shared) {
    return for_each_with(TaskOptions{}, begin, end, std::move(function), shared...);
  }
  template <class F, class... Shared>
  Mapped<void> for_each_with(const TaskOptions&, std::uint64_t begin, std::uint64_t end, F,
                             const Shared&...);

  // combine(…combine(combine(init, f(begin)), f(begin + 1))…): in order, so combine need only be associative.
  // Errors: the first failure's, since a sum with holes is none.
  // f is called with the number and what is shared, as in map().
  template <class T, class F, class Combine, class... Shared>
  Result<T> reduce(std::uint64_t begin, std::uint64_t end, T init, F function, Combine combine,
                   const Shared&... shared);

  // In a task: whether it was cancelled, or its time is up. It may then return whatever it has.
  static bool stop_requested() noexcept;

  // Workers from now on, 1 to 256; those that are too many end after their task.
  void resize(unsigned workers);
  // Waits until nothing is pending. Errors: timed_out, stopped.
  [[nodiscard]] Result<void> drain(Deadline = Deadline::never());
  PoolStats stats() const;
  // With Scheduling::trace; empty without it.
  ScheduleTrace schedule_trace() const;
  // Of the workers that are up, for who wants to look at them, or kill one.
  std::vector<int> pids() const;

 private:
  template <class F>
  static constexpr void check_callable() {
    static_assert(detail::ShippableCallable<F>,
                  "a pool's callable captures values only: no reference, pointer or object with a "
                  "destructor, and no pair, tuple, optional or type without a constexpr "
                  "constructor. Pass these, strings and containers as arguments, large data as a "
                  "SharedArray or SealedBuffer, and wrap a function in a lambda");
  }
  std::shared_ptr<detail::TaskState> start(std::uint32_t function, detail::BodyWriter body,
                                           const TaskOptions& options);
  // Begins a block of a range; finish_range() waits for it.
  std::shared_ptr<detail::TaskState> begin_range(detail::RangeWork);
  detail::RangeOutcome finish_range(const std::shared_ptr<detail::TaskState>&);
  template <class Loop, class F, class... Shared>
  static detail::RangeWork range_work(const TaskOptions&, const F&, const Shared&...);

  std::shared_ptr<pool::Engine> engine_;
};

}  // namespace bulkhead

#include <bulkhead/detail/pool_templates.hpp>
