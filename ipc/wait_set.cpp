#include "ipc/wait_set.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "ipc/endpoint.hpp"

namespace bulkhead::ipc {
namespace {

using Clock = Deadline::clock;

// A signal ends the sleep early, which is allowed.
void sleep_until(std::vector<pollfd>& polled, Clock::time_point until) noexcept {
  timespec span{};
  const bool endless = until == Clock::time_point::max();
  if (!endless) {
    const auto left = std::max(until - Clock::now(), Clock::duration::zero());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    span = {seconds.count(), std::chrono::nanoseconds(left - seconds).count()};
  }
  static_cast<void>(::ppoll(polled.data(), polled.size(), endless ? nullptr : &span, nullptr));
}

}  // namespace

WaitSet::WaitSet(std::span<const Awaited> ends) : ends_(ends) {
  for (const auto& awaited : ends) {
    auto* attention = awaited.endpoint->spec().attention.get();
    if (attention == nullptr) continue;
    if (std::find(attentions_.begin(), attentions_.end(), attention) == attentions_.end()) {
      attentions_.push_back(attention);
    }
  }
}

void WaitSet::wait_once(Deadline deadline) {
  if (!arm(0)) {
    if (!deadline.expired() && !deadline.stopped()) poll(deadline);
    disarm();
  }
  service();
}

std::optional<std::size_t> WaitSet::arm(std::size_t start) {
  for (std::size_t i = 0; i < ends_.size(); ++i) {
    const std::size_t at = (start + i) % ends_.size();
    if (!arm_one(at)) continue;
    for (std::size_t armed = 0; armed < i; ++armed) finish((start + armed) % ends_.size());
    return at;
  }
  return std::nullopt;
}

// True: it can act, and is not armed.
bool WaitSet::arm_one(std::size_t at) {
  const Awaited& awaited = ends_[at];
  Endpoint& endpoint = *awaited.endpoint;
  if (awaited.message && endpoint.prepare_receive_wait()) return true;
  if (awaited.room == 0 || !endpoint.prepare_send_wait(awaited.room)) return false;
  if (awaited.message) endpoint.finish_receive_wait();
  return true;
}

void WaitSet::disarm() noexcept {
  for (std::size_t at = 0; at < ends_.size(); ++at) finish(at);
}

void WaitSet::finish(std::size_t at) noexcept {
  Endpoint& endpoint = *ends_[at].endpoint;
  if (ends_[at].message) endpoint.finish_receive_wait();
  if (ends_[at].room != 0) endpoint.finish_send_wait();
}

void WaitSet::poll(Deadline deadline) {
  polled_.clear();
  auto until = deadline.when();
  for (auto* attention : attentions_) {
    polled_.push_back({attention->fd(), POLLIN, 0});
    until = std::min(until, Deadline::in(attention->longest_sleep()).when());
  }
  for (const auto& awaited : ends_) {  // poll(2) skips negative descriptors
    const Endpoint& endpoint = *awaited.endpoint;
    const WaitPlan receive = awaited.message ? endpoint.receive_plan() : WaitPlan{};
    const WaitPlan send = awaited.room != 0 ? endpoint.send_plan() : WaitPlan{};
    polled_.push_back({receive.fd, receive.events, 0});
    polled_.push_back({send.fd, send.events, 0});
  }
  for (auto* attention : attentions_) attention->sleeping(true);
  sleep_until(polled_, until);
  for (auto* attention : attentions_) attention->sleeping(false);
}

void WaitSet::service() noexcept {
  for (auto* attention : attentions_) attention->service();
}

}  // namespace bulkhead::ipc
