// One to several and several to one, with a process for each end.
#include <bulkhead/channel.hpp>
#include <bulkhead/topic.hpp>

#include <optional>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "bench/channel_contestant.hpp"
#include "bench/echo_process.hpp"
#include "bench/stream.hpp"

namespace bulkhead::bench {
namespace {

Error a_stream_ended() { return make_error(Errc::peer_died, "a stream of the benchmark"); }

// The processes at the far ends, begun and waited for together.
class Crew {
 public:
  // `body` makes what end `i` does. The ends are dealt over both processors.
  template <class Body>
  static Result<Crew> start(Processors processors, const Body& body) {
    Crew crew;
    for (std::size_t i = 0; i < fan_ends; ++i) {
      auto end = EchoProcess::start(i % 2 == 0 ? processors.echo : processors.ping, body(i));
      if (!end) return end.error();
      crew.ends_.push_back(std::move(*end));
    }
    return crew;
  }
  Result<void> begin(std::uint64_t count) {
    for (auto& end : ends_) {
      if (auto begun = end->begin(count); !begun) return begun;
    }
    return {};
  }
  Result<void> finish() {
    for (auto& end : ends_) {
      if (const auto finished = end->finish(); !finished) return finished.error();
    }
    return {};
  }

 private:
  std::vector<std::unique_ptr<EchoProcess>> ends_;
};

double per_second(std::uint64_t count, std::uint64_t since_ns) {
  return static_cast<double>(count) * 1e9 / static_cast<double>(base::monotonic_ns() - since_ns);
}

class FanOut final : public Stream {
 public:
  FanOut(ConnectedTopic topic, std::size_t bytes)
      : publisher_(std::move(topic.publisher)), message_(bytes) {
    for (auto& subscriber : topic.subscribers) subscribers_.emplace_back(std::move(subscriber));
  }

  Result<void> start(Processors processors) {
    auto crew = Crew::start(processors, [this](std::size_t i) -> EchoProcess::Body {
      return {[this, i] { enter_subscriber(i); },
              [this, i](std::uint64_t count) { return receive(*subscribers_[i], count); },
              [] { return std::uint64_t{0}; }};
    });
    if (!crew) return crew.error();
    crew_ = std::move(*crew);
    for (auto& subscriber : subscribers_) subscriber.reset();
    return {};
  }

  Result<double> run(std::uint64_t count) override {
    const std::uint64_t start = base::monotonic_ns();
    if (auto begun = crew_.begin(count); !begun) return begun.error();
    for (std::uint64_t i = 0; i < count; ++i) {
      if (!publisher_->publish(message_)) return a_stream_ended();
    }
    if (auto finished = crew_.finish(); !finished) return finished.error();
    return per_second(fan_ends * count, start);
  }

 private:
  void enter_subscriber(std::size_t mine) {
    publisher_.reset();
    for (std::size_t i = 0; i < subscribers_.size(); ++i) {
      if (i != mine) subscribers_[i].reset();
    }
  }
  bool receive(Topic& subscriber, std::uint64_t count) const {
    for (; count > 0; --count) {
      const auto message = subscriber.receive();
      if (!message || message->gap() != 0 || message->bytes().size() != message_.size())
        return false;
    }
    return true;
  }

  std::optional<Topic> publisher_;
  std::vector<std::optional<Topic>> subscribers_;
  std::vector<std::byte> message_;
  Crew crew_;  // goes first
};

class FanIn final : public Stream {
 public:
  FanIn(std::vector<std::pair<Channel, Channel>> pairs, std::size_t bytes) : message_(bytes) {
    for (auto& [source, drain] : pairs) {
      sources_.emplace_back(std::move(source));
      drains_.emplace_back(std::move(drain));
    }
  }

  Result<void> start(Processors processors) {
    auto crew = Crew::start(processors, [this](std::size_t i) -> EchoProcess::Body {
      return {[this, i] { enter_source(i); },
              [this, i](std::uint64_t count) {
                while (count > 0 && sources_[i]->send(message_)) --count;
                return count == 0;
              },
              [] { return std::uint64_t{0}; }};
    });
    if (!crew) return crew.error();
    crew_ = std::move(*crew);
    for (auto& source : sources_) source.reset();
    return {};
  }

  // One look after the other while there is something; asleep on all of them when there is not.
  Result<double> run(std::uint64_t count) override {
    const std::uint64_t each = count / fan_ends, all = each * fan_ends;
    const std::uint64_t start = base::monotonic_ns();
    if (auto begun = crew_.begin(each); !begun) return begun.error();
    std::vector<Channel*> channels;
    for (auto& drain : drains_) channels.push_back(&*drain);
    std::size_t turn = 0;
    for (std::uint64_t received = 0; received < all;) {
      const auto next = wait_any(channels, Deadline::never(), &turn);
      if (!next) return next.error();
      for (;;) {
        const auto message = channels[*next]->try_receive();
        if (!message) return message.error();
        if (!*message) break;
        if ((*message)->bytes().size() != message_.size()) return a_stream_ended();
        ++received;
      }
    }
    if (auto finished = crew_.finish(); !finished) return finished.error();
    return per_second(all, start);
  }

 private:
  // The ends of other pairs stay: to drop both ends of a pair in one process is to close it for everybody.
  void enter_source(std::size_t mine) { drains_[mine].reset(); }

  std::vector<std::optional<Channel>> sources_, drains_;
  std::vector<std::byte> message_;
  Crew crew_;  // goes first
};

}  // namespace

StartedStream start_fan_out(std::size_t size, Processors processors) {
  const ChannelOptions room = options_for(size, WaitMode::adaptive);
  const TopicOptions options{
      .capacity = room.capacity, .max_message = room.max_message, .wait = room.wait, .policy = {}};
  auto topic = connected_topic(Transport::shm, options, fan_ends);
  if (!topic) return topic.error();
  auto fan = std::make_unique<FanOut>(std::move(*topic), size);
  if (auto started = fan->start(processors); !started) return started.error();
  return std::unique_ptr<Stream>(std::move(fan));
}

StartedStream start_fan_in(std::size_t size, Processors processors) {
  std::vector<std::pair<Channel, Channel>> pairs;
  for (std::size_t i = 0; i < fan_ends; ++i) {
    auto pair = connected_pair(Transport::shm, options_for(size, WaitMode::adaptive));
    if (!pair) return pair.error();
    pairs.push_back(std::move(*pair));
  }
  auto fan = std::make_unique<FanIn>(std::move(pairs), size);
  if (auto started = fan->start(processors); !started) return started.error();
  return std::unique_ptr<Stream>(std::move(fan));
}

}  // namespace bulkhead::bench
