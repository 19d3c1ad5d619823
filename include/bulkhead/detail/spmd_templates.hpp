// The templates of Communicator, in <bulkhead/spmd.hpp>, which includes this file; include that one. How typed calls become
// calls in bytes; knows nothing of processes and memory.
#pragma once

#include <bulkhead/spmd.hpp>
#include <span>
#include <vector>

namespace bulkhead {

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
