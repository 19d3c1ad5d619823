// One lane, with and without batches, and the bare ring: two processes, each on a processor of its own.
#include <bulkhead/channel.hpp>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "bench/channel_contestant.hpp"
#include "bench/echo_process.hpp"
#include "bench/shared_pages.hpp"
#include "bench/spsc_ring.hpp"
#include "bench/stream.hpp"

namespace bulkhead::bench {
namespace {

// A course is what two processes share: put() says how many messages it sent, 0 when it could not; get()
// receives one; enter_source and enter_drain are a contestant's enter_*.
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
class OneToOne final : public Stream {
 public:
  static StartedStream start(std::unique_ptr<Course> course, int cpu) {
    Course& shared = *course;
    auto drain = EchoProcess::start(cpu, {[&shared] { shared.enter_drain(); },
                                          [&shared](std::uint64_t count) {
                                            while (count > 0 && shared.get()) --count;
                                            return count == 0;
                                          },
                                          [] { return std::uint64_t{0}; }});
    if (!drain) return drain.error();
    course->enter_source();
    return std::unique_ptr<Stream>(new OneToOne(std::move(course), std::move(*drain)));
  }

  Result<double> run(std::uint64_t count) override {
    const std::uint64_t start = base::monotonic_ns();
    if (auto begun = drain_->begin(count); !begun) return begun.error();
    for (std::uint64_t left = count; left > 0;) {
      const std::size_t sent = course_->put(left);
      if (sent == 0) return make_error(Errc::peer_died, "a stream of the benchmark");
      left -= sent;
    }
    if (const auto drained = drain_->finish(); !drained) return drained.error();
    return static_cast<double>(count) * 1e9 / static_cast<double>(base::monotonic_ns() - start);
  }

 private:
  OneToOne(std::unique_ptr<Course> course, std::unique_ptr<EchoProcess> drain)
      : course_(std::move(course)), drain_(std::move(drain)) {}

  std::unique_ptr<Course> course_;
  std::unique_ptr<EchoProcess> drain_;  // goes first
};

template <class Course>
StartedStream start_over_channel(std::size_t size, Processors processors) {
  auto pair = connected_pair(Transport::shm, options_for(size, WaitMode::spin));
  if (!pair) return pair.error();
  return OneToOne<Course>::start(std::make_unique<Course>(std::move(*pair), size), processors.echo);
}

}  // namespace

StartedStream start_lane(std::size_t size, Processors processors) {
  return start_over_channel<Lane>(size, processors);
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
