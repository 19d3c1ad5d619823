// Ours: a channel as any program uses it, echoed by a process that receives and sends.
#include "bench/channel_contestant.hpp"

#include <bulkhead/channel.hpp>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "ipc/segment_layout.hpp"

namespace bulkhead::bench {
namespace {

// The lanes count each time they enter the kernel: to sleep, and to wake the other end.
std::uint64_t syscalls_of(const Channel& channel) {
  const auto stats = channel.stats();
  return stats.sleeps + stats.wakes;
}

class TwoEnds {
 public:
  explicit TwoEnds(std::pair<Channel, Channel> pair)
      : ping_(std::move(pair.first)), echo_(std::move(pair.second)) {}
  void enter_echo() { ping_.reset(); }
  void enter_ping() { echo_.reset(); }
  std::uint64_t syscalls() const { return syscalls_of(ping_ ? *ping_ : *echo_); }

 protected:
  std::optional<Channel> ping_, echo_;
};

class Copied : public TwoEnds {
 public:
  Copied(std::pair<Channel, Channel> pair, std::size_t bytes)
      : TwoEnds(std::move(pair)), message_(bytes) {}

  bool ping() {
    if (!ping_->send(message_)) return false;
    const auto answer = ping_->receive();
    return answer && answer->bytes().size() == message_.size();
  }
  bool pong() {
    const auto question = echo_->receive();
    return question && echo_->send(question->bytes());
  }

 private:
  std::vector<std::byte> message_;
};

class InPlace : public TwoEnds {
 public:
  InPlace(std::pair<Channel, Channel> pair, std::size_t bytes)
      : TwoEnds(std::move(pair)), bytes_(bytes) {}

  bool ping() {
    ++round_;
    return write(*ping_, round_) && read(*ping_) == round_;
  }
  bool pong() {
    const auto round = read(*echo_);
    return round && write(*echo_, *round);
  }

 private:
  using Mark = std::uint32_t;

  bool write(Channel& channel, Mark mark) const {
    auto loan = channel.loan(bytes_);
    if (!loan) return false;
    std::memcpy(loan->bytes().data(), &mark, sizeof mark);
    std::memcpy(loan->bytes().data() + bytes_ - sizeof mark, &mark, sizeof mark);
    return loan->commit().has_value();
  }
  std::optional<Mark> read(Channel& channel) const {
    const auto message = channel.receive();
    if (!message || message->bytes().size() != bytes_) return std::nullopt;
    Mark first = 0, last = 0;
    std::memcpy(&first, message->bytes().data(), sizeof first);
    std::memcpy(&last, message->bytes().data() + bytes_ - sizeof last, sizeof last);
    return first == last ? std::optional(first) : std::nullopt;
  }

  const std::size_t bytes_;
  Mark round_ = 0;
};

}  // namespace

ChannelOptions options_for(std::size_t bytes, WaitMode mode) {
  ChannelOptions options;
  options.wait = mode;
  options.max_message = std::max(options.max_message, bytes);
  while ((options.capacity - ipc::cache_line) / 2 < bytes) options.capacity *= 2;
  return options;
}

Result<std::unique_ptr<Contestant>> start_channel(Processors processors, Transport transport,
                                                  WaitMode mode, std::size_t bytes, Carry carry) {
  auto pair = connected_pair(transport, options_for(bytes, mode));
  if (!pair) return pair.error();
  if (carry == Carry::in_place) {
    return MeasuredContestant<InPlace>::start(std::make_unique<InPlace>(std::move(*pair), bytes),
                                              processors.echo);
  }
  return MeasuredContestant<Copied>::start(std::make_unique<Copied>(std::move(*pair), bytes),
                                           processors.echo);
}

}  // namespace bulkhead::bench
