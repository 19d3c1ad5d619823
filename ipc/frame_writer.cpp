#include "ipc/frame_writer.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>

namespace bulkhead::ipc {
namespace {

// writev's iovec serves reading too and has no const; nothing is written through it.
iovec part(const void* bytes, std::size_t length) noexcept {
  return {const_cast<void*>(bytes), length};
}

constexpr std::size_t fill_bytes = 4096;
constexpr std::array<std::byte, fill_bytes> fill{};

}  // namespace

WriteStatus FrameWriter::write(Wire& wire, const FrameHeader& header,
                               std::span<const std::byte> payload) {
  if (phase_ == Phase::suspended) settle_suspended(wire, header, payload);
  if (phase_ == Phase::voided) {
    if (const auto status = fill_up(wire); status != WriteStatus::done) return status;
  }
  if (phase_ == Phase::idle) {
    header_ = header;
    written_ = 0;
    phase_ = Phase::active;
  }
  const auto status =
      wire.keeps_packets() ? write_packets(wire, payload) : write_stream(wire, payload);
  if (status == WriteStatus::done) phase_ = Phase::idle;
  return status;
}

void FrameWriter::settle_suspended(const Wire& wire, const FrameHeader& header,
                                   std::span<const std::byte> payload) noexcept {
  const bool same = header.kind == header_.kind && payload.size() == header_.total &&
                    std::equal(payload.begin(), payload.end(), suspended_.get());
  if (same) {
    phase_ = Phase::active;
  } else {
    phase_ = wire.keeps_packets() ? Phase::idle : Phase::voided;
  }
  suspended_.reset();
}

void FrameWriter::suspend(std::span<const std::byte> payload) noexcept {
  if (phase_ != Phase::active) return;
  if (written_ == 0) {
    phase_ = Phase::idle;
    return;
  }
  suspended_.reset(new (std::nothrow) std::byte[payload.size() + 1]);
  if (suspended_) {
    std::copy(payload.begin(), payload.end(), suspended_.get());
    phase_ = Phase::suspended;
  } else {
    phase_ = Phase::voided;  // cannot be recognised without memory; packets have nothing to fill up
  }
}

WriteStatus FrameWriter::finish(Wire& wire) {
  if (phase_ == Phase::voided) return fill_up(wire);
  if (phase_ != Phase::suspended) return WriteStatus::done;
  const std::span<const std::byte> payload{suspended_.get(), header_.total};
  const auto status =
      wire.keeps_packets() ? write_packets(wire, payload) : write_stream(wire, payload);
  if (status != WriteStatus::done) return status;
  phase_ = Phase::idle;
  suspended_.reset();
  return status;
}

std::size_t FrameWriter::backlog_bytes() const noexcept {
  if (phase_ == Phase::idle) return 0;
  return frame_header_bytes + header_.total + frame_trailer_bytes - written_;
}

WriteStatus FrameWriter::refused(const IoStatus& status) noexcept {
  if (status.blocked()) return WriteStatus::blocked;
  error_ = status.error;
  switch (status.error) {
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:
    case ETIMEDOUT: return WriteStatus::broken;
    default: return WriteStatus::failed;
  }
}

WriteStatus FrameWriter::write_packets(Wire& wire, std::span<const std::byte> payload) {
  do {
    FrameHeader header = header_;
    header.offset = static_cast<std::uint32_t>(written_);
    const std::size_t bytes = std::min(payload.size() - written_, packet_payload_max);
    std::array<iovec, 2> parts{part(&header, sizeof header),
                               part(payload.data() + written_, bytes)};
    const IoStatus status = wire.write(parts);
    if (status.error != 0) return refused(status);
    written_ += bytes;
  } while (written_ < payload.size());
  return WriteStatus::done;
}

WriteStatus FrameWriter::write_stream(Wire& wire, std::span<const std::byte> payload) {
  const std::size_t frame = frame_header_bytes + payload.size() + frame_trailer_bytes;
  while (written_ < frame) {
    std::array<iovec, 3> parts;
    std::size_t count = 0, skip = written_;
    const std::array<iovec, 3> whole{part(&header_, frame_header_bytes),
                                     part(payload.data(), payload.size()),
                                     part(&frame_committed, frame_trailer_bytes)};
    for (const iovec& piece : whole) {
      const std::size_t skipped = std::min(skip, piece.iov_len);
      skip -= skipped;
      if (skipped == piece.iov_len) continue;
      parts[count++] =
          part(static_cast<const std::byte*>(piece.iov_base) + skipped, piece.iov_len - skipped);
    }
    const IoStatus status = wire.write(std::span(parts).first(count));
    if (status.error != 0) return refused(status);
    written_ += status.bytes;
  }
  return WriteStatus::done;
}

WriteStatus FrameWriter::fill_up(Wire& wire) {
  if (wire.keeps_packets()) {
    phase_ = Phase::idle;
    return WriteStatus::done;
  }
  const std::size_t body_end = frame_header_bytes + header_.total;
  while (written_ < body_end + frame_trailer_bytes) {
    iovec piece;
    if (written_ < frame_header_bytes) {
      piece = part(reinterpret_cast<const std::byte*>(&header_) + written_,
                   frame_header_bytes - written_);
    } else if (written_ < body_end) {
      piece = part(fill.data(), std::min(body_end - written_, fill_bytes));
    } else {
      piece = part(&frame_voided, frame_trailer_bytes);
    }
    const IoStatus status = wire.write(std::span(&piece, 1));
    if (status.error != 0) return refused(status);
    written_ += status.bytes;
  }
  phase_ = Phase::idle;
  return WriteStatus::done;
}

}  // namespace bulkhead::ipc
