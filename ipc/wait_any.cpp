// Waiting until one of several channels or topics has something.
#include <bulkhead/topic.hpp>

#include <vector>

#include "ipc/wait_set.hpp"

namespace bulkhead {

Result<std::size_t> wait_any(std::span<const Waitable> ends, Deadline deadline, std::size_t* turn) {
  if (ends.empty() && deadline.is_never()) {
    return make_error(Errc::invalid_argument,
                      "wait_any: nothing to wait for and no deadline: it would never end");
  }
  std::vector<ipc::Awaited> awaited;
  for (const Waitable end : ends) {
    if (end.endpoint() == nullptr) {
      return make_error(Errc::invalid_argument, "wait_any: a topic's publisher receives nothing");
    }
    awaited.push_back({end.endpoint()});
  }
  ipc::WaitSet set(awaited);
  const std::size_t start = turn == nullptr ? 0 : *turn;
  for (;;) {
    if (deadline.stopped()) return make_error(Errc::stopped, "wait_any");
    if (const auto found = set.arm(start)) {
      if (turn != nullptr) *turn = *found + 1;
      return *found;
    }
    // Arming hears of news, a stop among it, which then wakes nobody any more.
    if (!deadline.expired() && !deadline.stopped()) set.poll(deadline);
    set.disarm();
    set.service();
    if (deadline.expired()) {
      // What came with the end of the sleep counts.
      const auto found = set.arm(start);
      if (!found) {
        set.disarm();
        return make_error(deadline.stopped() ? Errc::stopped : Errc::timed_out, "wait_any");
      }
      if (turn != nullptr) *turn = *found + 1;
      return *found;
    }
  }
}

namespace {

template <class End>
Result<std::size_t> wait_any_of(std::span<End* const> ends, Deadline deadline, std::size_t* turn) {
  std::vector<Waitable> waitable;
  for (End* const end : ends) waitable.emplace_back(*end);
  return wait_any(waitable, deadline, turn);
}

}  // namespace

Result<std::size_t> wait_any(std::span<Channel* const> channels, Deadline deadline,
                             std::size_t* turn) {
  return wait_any_of(channels, deadline, turn);
}

Result<std::size_t> wait_any(std::span<Topic* const> subscribers, Deadline deadline,
                             std::size_t* turn) {
  return wait_any_of(subscribers, deadline, turn);
}

}  // namespace bulkhead
