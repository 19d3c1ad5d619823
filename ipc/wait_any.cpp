// Waiting until one of several channels has something.
#include <bulkhead/channel.hpp>

#include <vector>

#include "ipc/wait_set.hpp"

namespace bulkhead {

Result<std::size_t> wait_any(std::span<Channel* const> channels, Deadline deadline,
                             std::size_t* turn) {
  if (channels.empty() && deadline.is_never()) {
    return make_error(Errc::invalid_argument,
                      "wait_any: no channel and no deadline: it would never end");
  }
  std::vector<ipc::Awaited> awaited;
  for (auto* channel : channels) awaited.push_back({channel});
  ipc::WaitSet set(awaited);
  const std::size_t start = turn == nullptr ? 0 : *turn;
  for (;;) {
    if (deadline.stopped()) return make_error(Errc::stopped, "wait_any");
    if (const auto found = set.arm(start)) {
      if (turn != nullptr) *turn = *found + 1;
      return *found;
    }
    if (!deadline.expired()) set.poll(deadline);
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

}  // namespace bulkhead
