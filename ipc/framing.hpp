// The frame that carries a message, or a piece of one, over a socket or a pipe. Used by frame_writer,
// frame_reader and the tests that write raw bytes; knows nothing of descriptors. The rules are in
// docs/design/socket-transports.md.
#pragma once

#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace bulkhead::ipc {

enum class FrameKind : std::uint8_t {
  data = 1,
  close = 2,  // the sender let go of the channel on purpose; nothing follows
};

// In the byte order of the machine: a link never leaves it.
//
//   0       4      5      6       8       12       16      24
//   | magic | kind | zero | epoch | total | offset | index |
//
// On a transport that keeps packets, a packet is a header and the bytes of the message from `offset`
// on. On a stream a frame is a header, the whole message, and one trailer byte that says whether the
// message counts: a sender whose deadline passed in the middle fills the frame up and voids it.
struct FrameHeader {
  std::uint32_t magic;
  FrameKind kind;
  std::uint8_t zero;
  std::uint16_t epoch;   // the sender's incarnation
  std::uint32_t total;   // bytes of the whole message
  std::uint32_t offset;  // where in the message this piece begins; 0 on a stream
  std::uint64_t index;  // the message's number in the life of the link, from 1; close: the last one
};
static_assert(sizeof(FrameHeader) == 24 && alignof(FrameHeader) == 8);
static_assert(offsetof(FrameHeader, epoch) == 6 && offsetof(FrameHeader, index) == 16);
static_assert(std::is_trivially_copyable_v<FrameHeader>);

inline constexpr std::uint32_t frame_magic = 0x31464842;  // "BHF1"
inline constexpr std::size_t frame_header_bytes = sizeof(FrameHeader);
inline constexpr std::size_t frame_trailer_bytes = 1;
inline constexpr std::byte frame_committed{0xC1};
inline constexpr std::byte frame_voided{0x1C};

// A packet's share of a message. Large enough that the default max_message is one packet, small
// enough for the default limit on a socket's buffer (212 992 bytes).
inline constexpr std::size_t packet_payload_max = std::size_t{64} << 10;

constexpr FrameHeader make_frame_header(FrameKind kind, std::uint16_t epoch, std::uint64_t index,
                                        std::uint32_t total) noexcept {
  return {frame_magic, kind, 0, epoch, total, 0, index};
}

// What the peer may send next; the reader keeps it up to date.
struct FrameExpectation {
  std::size_t max_message;
  std::uint16_t epoch;
  std::uint64_t next_index;  // 0: the first message of a connection may have any number
  bool gaps = false;         // numbers may be left out
};

// Checks everything that a header alone can violate, before anything is allocated for it.
// Errors: protocol_violation, with what was wrong.
[[nodiscard]] Result<FrameHeader> parse_frame_header(
    std::span<const std::byte, frame_header_bytes> bytes, const FrameExpectation& expected);

}  // namespace bulkhead::ipc
