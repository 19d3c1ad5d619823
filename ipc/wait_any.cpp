// Waiting for several channels at once, whatever their transports: arm all, poll what they name and
// what may interrupt them, disarm. Knows endpoints and attentions only.
#include <bulkhead/channel.hpp>

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <vector>

#include "ipc/endpoint.hpp"

namespace bulkhead {
namespace {

using Clock = Deadline::clock;

class WaitSet {
 public:
  explicit WaitSet(std::span<Channel* const> channels) : channels_(channels) {
    for (auto* channel : channels) {
      auto* attention = channel->endpoint().spec().attention.get();
      if (attention == nullptr) continue;
      if (std::find(attentions_.begin(), attentions_.end(), attention) == attentions_.end()) {
        attentions_.push_back(attention);
      }
    }
  }

  // The first channel from `start` on, going round, that can act; all are armed when there is none.
  std::optional<std::size_t> arm(std::size_t start) {
    for (std::size_t i = 0; i < channels_.size(); ++i) {
      const std::size_t at = (start + i) % channels_.size();
      if (!channels_[at]->endpoint().prepare_receive_wait()) continue;
      for (std::size_t armed = 0; armed < i; ++armed) finish((start + armed) % channels_.size());
      return at;
    }
    return std::nullopt;
  }
  void disarm() noexcept {
    for (std::size_t at = 0; at < channels_.size(); ++at) finish(at);
  }

  void poll(Deadline deadline) {
    polled_.clear();
    auto until = deadline.when();
    for (auto* attention : attentions_) {
      polled_.push_back({attention->fd(), POLLIN, 0});
      until = std::min(until, Clock::now() + attention->longest_sleep());
    }
    for (auto* channel : channels_) {
      const ipc::WaitPlan plan = channel->endpoint().receive_plan();
      polled_.push_back({plan.fd, plan.events, 0});  // poll(2) skips negative descriptors
    }
    for (auto* attention : attentions_) attention->sleeping(true);
    wait_until(until);
    for (auto* attention : attentions_) attention->sleeping(false);
  }

  // Cheap when there is nothing to do, and due after every sleep.
  void service() noexcept {
    for (auto* attention : attentions_) attention->service();
  }

 private:
  void finish(std::size_t at) noexcept { channels_[at]->endpoint().finish_receive_wait(); }

  void wait_until(Clock::time_point until) noexcept {
    timespec span{};
    const bool endless = until == Clock::time_point::max();
    if (!endless) {
      const auto left = std::max(until - Clock::now(), Clock::duration::zero());
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
      span = {seconds.count(), std::chrono::nanoseconds(left - seconds).count()};
    }
    // A signal ends the sleep early, which is allowed.
    static_cast<void>(::ppoll(polled_.data(), polled_.size(), endless ? nullptr : &span, nullptr));
  }

  std::span<Channel* const> channels_;
  std::vector<ipc::Attention*> attentions_;
  std::vector<pollfd> polled_;
};

}  // namespace

Result<std::size_t> wait_any(std::span<Channel* const> channels, Deadline deadline,
                             std::size_t* turn) {
  if (channels.empty() && deadline.is_never()) {
    return make_error(Errc::invalid_argument,
                      "wait_any: no channel and no deadline: it would never end");
  }
  WaitSet set(channels);
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
