// A transport that is nothing but two queues in this process, so that what stands on channels can be
// tested without one; the test plays the peer's death. Messages are acknowledged at once.
#pragma once

#include <bulkhead/channel.hpp>
#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "ipc/endpoint.hpp"

namespace bulkhead::test {

// What both ends share.
struct LoopbackWire {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::vector<std::byte>> queue[2];  // [side]: what that side is going to receive
  bool gone[2] = {false, false};
  std::size_t messages_max = 1024;
};

class LoopbackEndpoint final : public ipc::Endpoint {
 public:
  LoopbackEndpoint(std::shared_ptr<LoopbackWire> wire, ipc::EndSpec spec)
      : wire_(std::move(wire)), spec_(std::move(spec)) {}

  Result<void> send(std::span<const std::byte> bytes, Deadline deadline) override {
    if (bytes.size() > spec_.options.max_message) return make_error(Errc::message_too_big, "");
    std::unique_lock lock(wire_->mutex);
    auto& queue = wire_->queue[theirs()];
    const auto ready = [&] { return wire_->gone[theirs()] || queue.size() < wire_->messages_max; };
    if (!wait(lock, deadline, ready)) return expired(deadline);
    if (wire_->gone[theirs()]) return make_error(Errc::peer_died, "loopback");
    queue.emplace_back(bytes.begin(), bytes.end());
    wire_->changed.notify_all();
    return {};
  }

  Result<Message> receive(Deadline deadline) override {
    std::unique_lock lock(wire_->mutex);
    auto& queue = wire_->queue[ours()];
    if (!wait(lock, deadline, [&] { return !queue.empty() || wire_->gone[theirs()]; })) {
      return expired(deadline);
    }
    if (queue.empty()) return make_error(Errc::peer_died, "loopback");
    taken_.push_back(std::move(queue.front()));  // views stay valid until the end
    queue.pop_front();
    wire_->changed.notify_all();
    return Message(part(taken_.back(), taken_.size(), taken_.size(), 1, false));
  }

  // As the kernel would show the death of this end's process.
  void die() {
    const std::lock_guard lock(wire_->mutex);
    wire_->gone[ours()] = true;
    wire_->changed.notify_all();
  }

  void acknowledge(std::uint64_t) noexcept override {}
  void release(std::uint64_t) noexcept override {}
  bool prepare_receive_wait() override { return true; }
  void finish_receive_wait() noexcept override {}
  ipc::WaitPlan receive_plan() const noexcept override { return {}; }
  bool prepare_send_wait(std::size_t) override { return true; }
  void finish_send_wait() noexcept override {}
  ipc::WaitPlan send_plan() const noexcept override { return {}; }
  void post(ipc::LinkUpdate) override {}
  int segment_fd() const noexcept override { return -1; }
  void close() noexcept override { die(); }
  std::uint16_t peer_epoch() const noexcept override { return 1; }
  std::uint64_t last_committed() const noexcept override { return 0; }
  std::uint64_t resume_point() const noexcept override { return 1; }
  ChannelStats stats() const noexcept override { return {}; }
  const ipc::EndSpec& spec() const noexcept override { return spec_; }

 private:
  std::size_t ours() const noexcept { return static_cast<std::size_t>(spec_.side); }
  std::size_t theirs() const noexcept { return 1 - ours(); }

  template <class Ready>
  bool wait(std::unique_lock<std::mutex>& lock, Deadline deadline, Ready ready) {
    if (deadline.is_now()) return ready();
    if (!deadline.is_never()) return wire_->changed.wait_until(lock, deadline.when(), ready);
    wire_->changed.wait(lock, ready);
    return true;
  }
  static Error expired(Deadline deadline) {
    return make_error(deadline.is_now() ? Errc::would_block : Errc::timed_out, "loopback");
  }

  std::shared_ptr<LoopbackWire> wire_;
  ipc::EndSpec spec_;
  std::list<std::vector<std::byte>> taken_;
};

struct Loopback {
  std::shared_ptr<LoopbackWire> wire = std::make_shared<LoopbackWire>();
  std::shared_ptr<LoopbackEndpoint> from, to;

  explicit Loopback(ChannelOptions options = {}) {
    ipc::EndSpec spec;
    spec.options = options;
    from = std::make_shared<LoopbackEndpoint>(wire, std::move(spec));
    ipc::EndSpec other;
    other.side = ipc::Side::to;
    other.options = options;
    to = std::make_shared<LoopbackEndpoint>(wire, std::move(other));
  }
  Channel from_channel() const { return Channel(from); }
  Channel to_channel() const { return Channel(to); }
};

}  // namespace bulkhead::test
