// Numbered, checksummed messages and the count of how they arrive. Used by the ticker, which writes
// them, and the sink, which judges them. Must not know channels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace bulkhead::workers {

//   0          8          16
//   | sequence | checksum | filling, made from the sequence … |
//
// Little-endian; the checksum covers the sequence and the filling.
inline constexpr std::size_t tick_bytes_min = 16;
inline constexpr std::size_t tick_bytes_max = std::size_t{1} << 20;

void write_tick(std::span<std::byte> message, std::uint64_t sequence);  // tick_bytes_min at least
// The sequence number; nullopt for a message that is not what write_tick() made.
std::optional<std::uint64_t> read_tick(std::span<const std::byte> message);

// What a sink knows of the stream so far.
class TickCount {
 public:
  // Zero: the first message counts as expected, whatever its number.
  explicit TickCount(std::uint64_t resume_point) : next_(resume_point) {}

  struct Gap {
    std::uint64_t from, to;  // both were missing
  };
  // Takes the next message of sender incarnation `epoch`. A gap, where it shows one that is not what
  // the transport itself `told` to be missing directly before it.
  std::optional<Gap> take(std::span<const std::byte> message, std::uint16_t epoch, bool redelivered,
                          std::uint64_t told = 0);
  // A message from before the beginning, given again as history: only that it is whole counts.
  void take_history(std::span<const std::byte> message);

  // "delivered=7 redelivered=0 gaps=0 torn=0 next=8 unexpected=0 told=0": gaps counts missing messages
  // that nobody told of, or that were told of and not missing; unexpected those that came twice or late;
  // told those that were missing and told.
  std::string summary() const;

  std::uint64_t delivered() const noexcept { return delivered_; }
  std::uint64_t redelivered() const noexcept { return redelivered_; }
  std::uint64_t gaps() const noexcept { return gaps_; }
  std::uint64_t torn() const noexcept { return torn_; }
  std::uint64_t unexpected() const noexcept { return unexpected_; }
  std::uint64_t next() const noexcept { return next_; }
  std::uint64_t told() const noexcept { return told_; }

 private:
  std::uint64_t next_;
  std::uint64_t delivered_ = 0, redelivered_ = 0, gaps_ = 0, torn_ = 0, unexpected_ = 0;
  std::uint64_t told_ = 0;
  std::uint16_t epoch_ = 0;
};

}  // namespace bulkhead::workers
