// Ours: a channel as any program uses it, echoed by a process that receives and sends.
#include "bench/channel_contestant.hpp"

#include <bulkhead/channel.hpp>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace bulkhead::bench {
namespace {

class OurChannel {
 public:
  OurChannel(std::pair<Channel, Channel> pair, std::size_t bytes)
      : ping_(std::move(pair.first)), echo_(std::move(pair.second)), message_(bytes) {}

  bool ping() {
    if (!ping_->send(message_)) return false;
    const auto answer = ping_->receive();
    return answer && answer->bytes().size() == message_.size();
  }
  bool pong() {
    const auto question = echo_->receive();
    return question && echo_->send(question->bytes());
  }
  void enter_echo() { ping_.reset(); }
  void enter_ping() { echo_.reset(); }
  // The lanes count each time they enter the kernel: to sleep, and to wake the other end.
  std::uint64_t syscalls() const {
    const auto stats = (ping_ ? *ping_ : *echo_).stats();
    return stats.sleeps + stats.wakes;
  }

 private:
  std::optional<Channel> ping_, echo_;
  std::vector<std::byte> message_;
};

}  // namespace

Result<std::unique_ptr<Contestant>> start_channel(Processors processors, Transport transport,
                                                  WaitMode mode, std::size_t bytes) {
  ChannelOptions options;
  options.wait = mode;
  options.max_message = std::max(options.max_message, bytes);
  auto pair = connected_pair(transport, options);
  if (!pair) return pair.error();
  return MeasuredContestant<OurChannel>::start(
      std::make_unique<OurChannel>(std::move(*pair), bytes), processors.echo);
}

}  // namespace bulkhead::bench
