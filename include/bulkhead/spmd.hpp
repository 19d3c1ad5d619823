// One function in n processes that work together: each knows its rank, and they exchange values in shared memory by
// collective operations, which all of them call in the same order.
//
//   int main(int argc, char** argv) {
//     bulkhead::Pool::entry(argc, argv);  // first: ranks begin here too
//     auto sums = bulkhead::run_spmd(4, [](bulkhead::Communicator& group) {
//       return group.all_reduce(group.rank() + 1, std::plus<>());  // Result<unsigned>
//     });
//   }
//
// The vocabulary is MPI's; that the living are told who died, and do not hang, is the idea of its user-level failure
// mitigation (ULFM). docs/spmd.md is the guide, docs/design/spmd.md has the protocol.
#pragma once

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/spmd_collective.hpp>
#include <bulkhead/error.hpp>
#include <bulkhead/pool.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace bulkhead {

// Purpose: a rank's end of its group. Every call but rank() and size() is collective: all ranks call it, in the same order,
//   with the same sizes, types and root, and none returns before all have called it.
// Shapes: values, and contiguous ranges of values, of plain types of at most 4096 bytes. Combining is in the order of ranks,
//   so an operation need only be associative, and floating-point results are the same on every rank and every run.
// Threads: the one of the rank's function. Ownership: lives as long as the rank's function runs.
// Blocking: each call, up to its deadline.
// Errors: peer_died, which names the rank, at once when one dies; closed when a rank has returned, thrown or given up and
//   will not come; timed_out and stopped, by the deadline. These end the rank's membership: every later call returns the same,
//   and who waits for this rank is told. protocol_violation, which names two ranks and what each called, when the calls
//   differ; invalid_argument for sizes and roots that cannot be, while the others get protocol_violation: all may go on.
// After a crash: no rank hangs, whatever it was doing; a range that was being received is partly written.
class Communicator {
 public:
  explicit Communicator(std::shared_ptr<detail::SpmdGroup> group) noexcept
      : group_(std::move(group)), exceptions_(std::uncaught_exceptions()) {}
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  ~Communicator() { detail::leave(*group_, std::uncaught_exceptions() > exceptions_); }

  unsigned rank() const noexcept { return detail::rank_in(*group_); }
  unsigned size() const noexcept { return detail::size_of(*group_); }

  [[nodiscard]] Result<void> barrier(Deadline deadline = Deadline::never()) {
    return detail::carry_out(*group_, detail::Collective{}, deadline);
  }

  // The root's value; a range is replaced by the root's.
  template <detail::SpmdValue T>
  [[nodiscard]] Result<T> broadcast(T value, unsigned root, Deadline = Deadline::never());
  template <detail::SpmdRange Values>
  [[nodiscard]] Result<void> broadcast(Values&& values, unsigned root,
                                       Deadline = Deadline::never());

  // Each rank's part of what the root has, in the order of ranks. `from` counts at the root alone.
  template <detail::SpmdRange From>
  [[nodiscard]] auto scatter(const From& from, unsigned root, Deadline = Deadline::never())
      -> Result<std::ranges::range_value_t<From>>;
  template <class From, class To>
  requires detail::SpmdRanges<From, To>
  [[nodiscard]] Result<void> scatter(const From& from, To&& to, unsigned root,
                                     Deadline = Deadline::never());

  // At the root what every rank has, in the order of ranks; elsewhere nothing, and `to` does not count.
  template <detail::SpmdValue T>
  [[nodiscard]] Result<std::vector<T>> gather(const T& value, unsigned root,
                                              Deadline = Deadline::never());
  template <class From, class To>
  requires detail::SpmdRanges<From, To>
  [[nodiscard]] Result<void> gather(const From& from, To&& to, unsigned root,
                                    Deadline = Deadline::never());
  template <detail::SpmdValue T>
  [[nodiscard]] Result<std::vector<T>> all_gather(const T& value, Deadline = Deadline::never());
  template <class From, class To>
  requires detail::SpmdRanges<From, To>
  [[nodiscard]] Result<void> all_gather(const From& from, To&& to, Deadline = Deadline::never());

  // operation(…operation(of rank 0, of rank 1)…), element by element; `from` and `to` may be the same. reduce() gives it to
  // the root, others get their own value back; scan() gives each rank the result up to and with its own.
  template <detail::SpmdValue T, class Operation>
  [[nodiscard]] Result<T> reduce(const T& value, Operation, unsigned root,
                                 Deadline = Deadline::never());
  template <class From, class To, class Operation>
  requires detail::SpmdRanges<From, To>
  [[nodiscard]] Result<void> reduce(const From& from, To&& to, Operation, unsigned root,
                                    Deadline = Deadline::never());
  template <detail::SpmdValue T, class Operation>
  [[nodiscard]] Result<T> all_reduce(const T& value, Operation, Deadline = Deadline::never());
  template <class From, class To, class Operation>
  requires detail::SpmdRanges<From, To>
  [[nodiscard]] Result<void> all_reduce(const From& from, To&& to, Operation,
                                        Deadline = Deadline::never());
  template <detail::SpmdValue T, class Operation>
  [[nodiscard]] Result<T> scan(const T& value, Operation, Deadline = Deadline::never());
  template <class From, class To, class Operation>
  requires detail::SpmdRanges<From, To>
  [[nodiscard]] Result<void> scan(const From& from, To&& to, Operation,
                                  Deadline = Deadline::never());

  // Of `from`, which has a part for each rank, part i goes to rank i; `to` has the parts that came, in the order of ranks.
  template <class From, class To>
  requires detail::SpmdRanges<From, To>
  [[nodiscard]] Result<void> all_to_all(const From& from, To&& to, Deadline = Deadline::never());

 private:
  template <class T>
  Result<void> exchange(detail::CollectiveKind kind, std::uint32_t root, std::span<const T> from,
                        std::span<T> to, Deadline deadline) {
    return detail::carry_out(*group_, detail::collective_of<T>(kind, root, from, to), deadline);
  }
  template <class T, class Operation>
  Result<void> fold(detail::CollectiveKind kind, std::uint32_t root, std::span<const T> from,
                    std::span<T> to, Operation& operation, Deadline deadline) {
    return detail::carry_out(*group_, detail::folding_of<T>(kind, root, from, to, operation),
                             deadline);
  }

  std::shared_ptr<detail::SpmdGroup> group_;
  int exceptions_;
};

struct SpmdOptions {
  Deadline deadline = Deadline::never();  // of the whole run; then its processes are killed
  std::uint64_t memory_max = 0;           // as PoolOptions has it, of each rank
  bool exec_workers = false;              // likewise
};

// A rank that has no result.
struct RankFailure {
  unsigned rank = 0;
  TaskFailure failure;
};

// What the ranks returned, in their order.
template <class R>
struct SpmdOutcome {
  std::vector<R> values;              // of a rank that failed: R{}
  std::vector<RankFailure> failures;  // in the order of ranks
  bool complete() const noexcept { return failures.empty(); }
};
template <>
struct SpmdOutcome<void> {
  std::vector<RankFailure> failures;
  bool complete() const noexcept { return failures.empty(); }
};

inline constexpr unsigned spmd_ranks_max = 256;

// function(Communicator&, args...) in `ranks` processes at once, each a fresh worker of a pool that lives for this call.
// Callable, arguments and results travel as Pool::submit() has it; a rank that returns an Error has failed with it.
// Threads: any. Blocking: until every rank has ended, or the deadline of `options`.
// Errors: invalid_argument for no ranks and for more than spmd_ranks_max; not_permitted in a rank or another task of a pool, and
//   where main() has not called Pool::entry(); exec_failed when a rank cannot be started; timed_out, stopped.
//   What a rank does is no error of the call: its failure is in the outcome.
// After a crash of a rank: it is among the failures, and so are the ranks that returned what they were told of it.
//   After a crash of the owner: the kernel ends every rank.
template <class F, class... Args>
auto run_spmd_with(const SpmdOptions& options, unsigned ranks, F function, const Args&... args);
template <class F, class... Args>
auto run_spmd(unsigned ranks, F function, const Args&... args) {
  return run_spmd_with(SpmdOptions{}, ranks, std::move(function), args...);
}

}  // namespace bulkhead

#include <bulkhead/detail/spmd_run.hpp>
#include <bulkhead/detail/spmd_templates.hpp>
