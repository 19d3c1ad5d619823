#include "ipc/frame_reader.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace bulkhead::ipc {
namespace {

// Packets are read into a spare buffer, because their size shows only afterwards; up to this many
// bytes are copied out of it instead of giving away 64 KiB for a small message.
constexpr std::size_t copied_bytes_max = 4096;

// What a stream may bring beyond the message being read.
constexpr std::size_t stage_bytes = std::size_t{64} << 10;

class PacketReader final : public FrameReader {
 public:
  using FrameReader::FrameReader;

  bool has_message() const noexcept override { return false; }

  ReadStatus next(Wire& wire, Incoming& message) override {
    for (;;) {
      if (unplaced_) {
        const auto [header, bytes] = *unplaced_;
        const auto taken = take(header, bytes, message);
        if (taken != ReadStatus::nothing) return taken;
      }
      const std::size_t room = std::min(expected_.max_message, packet_payload_max);
      if (!spare_.memory) spare_ = pool_.take(room);
      if (!spare_.memory) return ReadStatus::no_memory;
      std::array<std::byte, frame_header_bytes> head;
      std::array<iovec, 2> parts{iovec{head.data(), head.size()}, iovec{spare_.memory.get(), room}};
      const IoStatus status = wire.read(parts);
      if (status.bytes == 0) {
        if (const auto verdict = without_bytes(status)) return *verdict;
        continue;
      }
      if (status.truncated || status.bytes < frame_header_bytes) {
        return violated(make_error(Errc::protocol_violation, "packet of a wrong size"));
      }
      const auto header = parse_frame_header(head, expected_);
      if (!header) return violated(header.error());
      if (header->kind == FrameKind::close) return ReadStatus::closed;
      unplaced_ = {*header, status.bytes - frame_header_bytes};
    }
  }

 private:
  // `nothing`: the message goes on in the next packet. `no_memory`: the packet waits in the spare.
  ReadStatus take(const FrameHeader& header, std::size_t bytes, Incoming& message) {
    if (bytes > header.total - header.offset || (bytes == 0 && header.total != 0)) {
      return violated(make_error(Errc::protocol_violation, "packet of a wrong size"));
    }
    if (header.offset == 0) {
      // A message that begins again replaces the one that its sender gave up.
      pool_.put(std::move(assembly_.buffer));
      assembly_ = {};
      if (bytes == header.total && bytes > copied_bytes_max) {
        unplaced_.reset();
        assembly_.buffer = std::exchange(spare_, {});
        return finish(header, message);
      }
      assembly_.buffer = pool_.take(header.total);
      if (!assembly_.buffer.memory) return ReadStatus::no_memory;
      total_ = header.total;
      assembly_.index = header.index;
    } else if (!assembly_.buffer.memory || header.total != total_ ||
               header.index != assembly_.index || header.offset != assembly_.bytes) {
      return violated(make_error(Errc::protocol_violation, "piece of a message out of place"));
    }
    unplaced_.reset();
    std::memcpy(assembly_.buffer.memory.get() + header.offset, spare_.memory.get(), bytes);
    assembly_.bytes = header.offset + bytes;
    return assembly_.bytes == header.total ? finish(header, message) : ReadStatus::nothing;
  }

  ReadStatus finish(const FrameHeader& header, Incoming& message) noexcept {
    message = std::exchange(assembly_, {});
    message.bytes = header.total;
    message.index = header.index;
    message.epoch = header.epoch;
    expected_.next_index = header.index + 1;
    return ReadStatus::message;
  }

  struct Packet {
    FrameHeader header;
    std::size_t bytes;
  };
  Buffer spare_;
  std::optional<Packet> unplaced_;  // read into the spare, not yet part of a message
  Incoming assembly_;               // `bytes` counts what is there
  std::size_t total_ = 0;
};

class StreamReader final : public FrameReader {
 public:
  using FrameReader::FrameReader;

  bool has_message() const noexcept override {
    const std::size_t staged = end_ - begin_;
    if (header_) {
      return header_->total - assembly_.bytes + frame_trailer_bytes <= staged;
    }
    if (staged < frame_header_bytes) return false;
    FrameHeader header;
    std::memcpy(&header, stage_.memory.get() + begin_, sizeof header);
    // A header that breaks the rules needs a look too.
    return header.total > expected_.max_message ||
           staged >= frame_header_bytes + header.total + frame_trailer_bytes;
  }

  ReadStatus next(Wire& wire, Incoming& message) override {
    for (;;) {
      if (const auto status = digest(message); status != ReadStatus::nothing) return status;
      if (!stage_.memory) stage_ = pool_.take(stage_bytes);
      if (!stage_.memory) return ReadStatus::no_memory;
      if (const auto status = fetch(wire)) return *status;
    }
  }

 private:
  // Makes what it can of the staged bytes; `nothing` when more are needed.
  ReadStatus digest(Incoming& message) {
    for (;;) {
      if (!header_) {
        if (end_ - begin_ < frame_header_bytes) return ReadStatus::nothing;
        if (const auto status = begin_frame(); status != ReadStatus::nothing) return status;
      }
      const std::size_t wanted = header_->total - assembly_.bytes;
      const std::size_t bytes = std::min(wanted, end_ - begin_);
      if (bytes > 0) std::memcpy(target(), stage_.memory.get() + begin_, bytes);
      assembly_.bytes += bytes;
      begin_ += bytes;
      if (begin_ == end_) return ReadStatus::nothing;
      const std::byte trailer = stage_.memory[begin_++];
      const FrameHeader header = *std::exchange(header_, std::nullopt);
      if (trailer == frame_voided) {
        pool_.put(std::exchange(assembly_, {}).buffer);
        continue;
      }
      if (trailer != frame_committed) {
        return violated(make_error(Errc::protocol_violation, "frame without a trailer"));
      }
      if (header.kind == FrameKind::close) return ReadStatus::closed;
      message = std::exchange(assembly_, {});
      message.index = header.index;
      message.epoch = header.epoch;
      expected_.next_index = header.index + 1;
      return ReadStatus::message;
    }
  }

  ReadStatus begin_frame() {
    const auto head = std::span<const std::byte, frame_header_bytes>(stage_.memory.get() + begin_,
                                                                     frame_header_bytes);
    const auto header = parse_frame_header(head, expected_);
    if (!header) return violated(header.error());
    if (header->offset != 0) {
      return violated(make_error(Errc::protocol_violation, "piece of a message on a stream"));
    }
    assembly_.buffer = pool_.take(header->total);
    if (!assembly_.buffer.memory) return ReadStatus::no_memory;
    assembly_.bytes = 0;
    header_ = *header;
    begin_ += frame_header_bytes;
    return ReadStatus::nothing;
  }

  // Reads the rest of the message straight into its buffer, and what follows into the stage.
  std::optional<ReadStatus> fetch(Wire& wire) {
    if (begin_ > 0) {
      std::memmove(stage_.memory.get(), stage_.memory.get() + begin_, end_ - begin_);
      end_ -= std::exchange(begin_, 0);
    }
    const std::size_t wanted = header_ ? header_->total - assembly_.bytes : 0;
    std::array<iovec, 2> parts{iovec{wanted > 0 ? target() : nullptr, wanted},
                               iovec{stage_.memory.get() + end_, stage_bytes - end_}};
    const IoStatus status = wire.read(wanted > 0 ? std::span(parts) : std::span(parts).last(1));
    if (status.bytes == 0) return without_bytes(status);
    const std::size_t direct = std::min(wanted, status.bytes);
    assembly_.bytes += direct;
    end_ += status.bytes - direct;
    return std::nullopt;
  }

  std::byte* target() noexcept { return assembly_.buffer.memory.get() + assembly_.bytes; }

  Buffer stage_;
  std::size_t begin_ = 0, end_ = 0;  // of the staged bytes
  std::optional<FrameHeader> header_;
  Incoming assembly_;  // `bytes` counts what is there
};

}  // namespace

std::optional<ReadStatus> FrameReader::without_bytes(const IoStatus& status) noexcept {
  if (status.blocked()) return ReadStatus::nothing;
  if (status.error == ECONNRESET && !std::exchange(reset_seen_, true)) return std::nullopt;
  return ReadStatus::ended;
}

ReadStatus FrameReader::violated(Error fault) {
  fault_ = std::move(fault);
  return ReadStatus::violated;
}

std::unique_ptr<FrameReader> make_frame_reader(const Wire& wire, FrameExpectation expected,
                                               BufferPool& pool) {
  if (wire.keeps_packets()) return std::make_unique<PacketReader>(expected, pool);
  return std::make_unique<StreamReader>(expected, pool);
}

}  // namespace bulkhead::ipc
