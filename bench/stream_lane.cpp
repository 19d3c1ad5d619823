// One lane, with and without batches, and the bare ring: two processes, each on a processor of its own.
#include <bulkhead/channel.hpp>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "bench/channel_contestant.hpp"
#include "bench/one_to_one.hpp"
#include "bench/shared_pages.hpp"
#include "bench/spsc_ring.hpp"
#include "bench/stream.hpp"

namespace bulkhead::bench {
namespace {

class Lane {
 public:
  Lane(std::pair<Channel, Channel> pair, std::size_t bytes)
      : source_(std::move(pair.first)), drain_(std::move(pair.second)), message_(bytes) {}
  std::size_t put(std::uint64_t) { return source_->send(message_) ? 1 : 0; }
  bool get() {
    const auto message = drain_->receive();
    return message && message->bytes().size() == message_.size();
  }
  void enter_source() { drain_.reset(); }
  void enter_drain() { source_.reset(); }

 protected:
  std::optional<Channel> source_, drain_;
  std::vector<std::byte> message_;
};

class Batches final : public Lane {
 public:
  Batches(std::pair<Channel, Channel> pair, std::size_t bytes)
      : Lane(std::move(pair), bytes), batch_(batch_messages, std::span(message_)) {}
  std::size_t put(std::uint64_t most) {
    const auto messages = std::min<std::uint64_t>(most, batch_.size());
    return source_->send_batch(std::span(batch_).first(messages)) ? messages : 0;
  }

 private:
  std::vector<std::span<const std::byte>> batch_;
};

class Ring {
 public:
  Ring(std::unique_ptr<SharedPages> pages, std::size_t bytes)
      : pages_(std::move(pages)), ring_(pages_->data(), bytes), message_(bytes) {}
  std::size_t put(std::uint64_t) noexcept {
    ring_.put(message_.data());
    return 1;
  }
  bool get() noexcept {
    ring_.get(message_.data());
    return true;
  }
  void enter_source() noexcept {}
  void enter_drain() noexcept {}

 private:
  std::unique_ptr<SharedPages> pages_;
  SpscRing ring_;
  std::vector<std::byte> message_;
};

template <class Course>
StartedStream start_over_channel(std::size_t size, Processors processors,
                                 Transport transport = Transport::shm,
                                 WaitMode wait = WaitMode::spin) {
  auto pair = connected_pair(transport, options_for(size, wait));
  if (!pair) return pair.error();
  return OneToOne<Course>::start(std::make_unique<Course>(std::move(*pair), size), processors.echo);
}

}  // namespace

StartedStream start_lane(std::size_t size, Processors processors) {
  return start_over_channel<Lane>(size, processors);
}

StartedStream start_channel_stream(Transport transport, WaitMode wait, std::size_t size,
                                   Processors processors) {
  return start_over_channel<Lane>(size, processors, transport, wait);
}

StartedStream start_batches(std::size_t size, Processors processors) {
  return start_over_channel<Batches>(size, processors);
}

StartedStream start_ring(std::size_t size, Processors processors) {
  auto pages = SharedPages::map(SpscRing::bytes_for(size));
  if (!pages) return pages.error();
  return OneToOne<Ring>::start(std::make_unique<Ring>(std::move(*pages), size), processors.echo);
}

}  // namespace bulkhead::bench
