#include "pool/channel_end.hpp"

#include <atomic>
#include <chrono>
#include <utility>

#include "ipc/attention.hpp"
#include "pool/task_wire.hpp"

namespace bulkhead::pool {
namespace {

// Nobody interrupts either end: the owner never sleeps on it, and the worker's sleep ends by a message, or by the signal
// that ends the worker.
class NoAttention final : public ipc::Attention {
 public:
  const std::atomic<std::uint32_t>& word() const noexcept override { return word_; }
  int fd() const noexcept override { return -1; }
  void service() noexcept override {}
  std::chrono::nanoseconds longest_sleep() const noexcept override {
    return std::chrono::nanoseconds::max();
  }

 private:
  std::atomic<std::uint32_t> word_{0};
};

}  // namespace

Result<std::shared_ptr<ipc::Endpoint>> open_channel_end(ipc::Side side) {
  ipc::EndSpec spec;
  spec.link = "pool";
  spec.side = side;
  spec.peer_life = ipc::PeerLife::single;
  spec.options.capacity = channel_capacity;
  spec.options.max_message = channel_message_max;
  spec.attention = std::make_shared<NoAttention>();
  return ipc::open_endpoint(Transport::shm, std::move(spec));
}

}  // namespace bulkhead::pool
