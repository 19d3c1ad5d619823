#include "workers/builtin/ticks.hpp"

#include <algorithm>
#include <bulkhead/error.hpp>
#include <cstring>

namespace bulkhead::workers {
namespace {

void store_word(std::span<std::byte> message, std::size_t offset, std::uint64_t word) {
  for (std::size_t i = 0; i < 8; ++i) message[offset + i] = static_cast<std::byte>(word >> (8 * i));
}

std::uint64_t load_word(std::span<const std::byte> message, std::size_t offset) {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    word |= static_cast<std::uint64_t>(message[offset + i]) << (8 * i);
  }
  return word;
}

// splitmix64: neighbours have nothing in common, so that bytes of a neighbouring message stand out.
constexpr std::uint64_t scramble(std::uint64_t word) noexcept {
  word += 0x9e3779b97f4a7c15;
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
  word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
  return word ^ (word >> 31);
}

std::uint64_t checksum(std::span<const std::byte> message) {
  std::uint64_t sum = scramble(load_word(message, 0) ^ message.size());
  std::size_t offset = tick_bytes_min;
  for (; offset + 8 <= message.size(); offset += 8)
    sum = scramble(sum ^ load_word(message, offset));
  for (; offset < message.size(); ++offset) {
    sum = scramble(sum ^ static_cast<std::uint64_t>(message[offset]));
  }
  return sum;
}

}  // namespace

void write_tick(std::span<std::byte> message, std::uint64_t sequence) {
  BULKHEAD_ASSERT(message.size() >= tick_bytes_min);
  store_word(message, 0, sequence);
  std::size_t offset = tick_bytes_min;
  for (; offset + 8 <= message.size(); offset += 8) {
    store_word(message, offset, scramble(sequence + offset));
  }
  for (; offset < message.size(); ++offset) {
    message[offset] = static_cast<std::byte>(scramble(sequence + offset));
  }
  store_word(message, 8, checksum(message));
}

std::optional<std::uint64_t> read_tick(std::span<const std::byte> message) {
  if (message.size() < tick_bytes_min) return std::nullopt;
  if (load_word(message, 8) != checksum(message)) return std::nullopt;
  return load_word(message, 0);
}

std::optional<TickCount::Gap> TickCount::take(std::span<const std::byte> message,
                                              std::uint16_t epoch, bool redelivered,
                                              std::uint64_t told) {
  const auto sequence = read_tick(message);
  if (!sequence) {
    ++torn_;
    return std::nullopt;  // its number is not to be trusted; it shows as a gap next time
  }
  if (redelivered) ++redelivered_;
  const bool new_sender = epoch != epoch_;
  epoch_ = epoch;
  if (next_ != 0 && *sequence < next_) {
    ++unexpected_;
    // A sender that lost count begins anew; what follows it is in order again.
    if (new_sender) next_ = *sequence + 1;
    return std::nullopt;
  }
  std::optional<Gap> gap;
  const std::uint64_t missing = next_ == 0 ? told : *sequence - next_;
  if (missing == told) {
    told_ += told;
  } else {
    gap = Gap{next_, *sequence - 1};
    gaps_ += std::max(missing, told) - std::min(missing, told);
  }
  ++delivered_;
  next_ = *sequence + 1;
  return gap;
}

void TickCount::take_history(std::span<const std::byte> message) {
  if (read_tick(message)) {
    ++redelivered_;
  } else {
    ++torn_;
  }
}

std::string TickCount::summary() const {
  return "delivered=" + std::to_string(delivered_) +
         " redelivered=" + std::to_string(redelivered_) + " gaps=" + std::to_string(gaps_) +
         " torn=" + std::to_string(torn_) + " next=" + std::to_string(next_) +
         " unexpected=" + std::to_string(unexpected_) + " told=" + std::to_string(told_);
}

}  // namespace bulkhead::workers
