// The peer is not trusted: each field is copied once, checked, and only then used.
#include "ipc/framing.hpp"

#include <cstring>
#include <string>

namespace bulkhead::ipc {
namespace {

Error bad_frame(std::string what) { return make_error(Errc::protocol_violation, std::move(what)); }

Result<void> check_kind(const FrameHeader& header) {
  if (header.kind == FrameKind::data) return {};
  if (header.kind == FrameKind::close && header.total == 0 && header.offset == 0) return {};
  return bad_frame("frame of unknown kind " + std::to_string(static_cast<int>(header.kind)));
}

Result<void> check_extent(const FrameHeader& header, std::size_t max_message) {
  if (header.total > max_message) {
    return bad_frame("frame of " + std::to_string(header.total) +
                     " bytes on a channel whose max_message is " + std::to_string(max_message));
  }
  if (header.offset > header.total) {
    return bad_frame("piece at " + std::to_string(header.offset) + " of a message of " +
                     std::to_string(header.total) + " bytes");
  }
  return {};
}

}  // namespace

Result<FrameHeader> parse_frame_header(std::span<const std::byte, frame_header_bytes> bytes,
                                       const FrameExpectation& expected) {
  FrameHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != frame_magic || header.zero != 0) {
    return bad_frame("bytes that are no frame of Bulkhead");
  }
  if (auto kind = check_kind(header); !kind) return kind.error();
  if (auto extent = check_extent(header, expected.max_message); !extent) return extent.error();
  if (header.epoch != expected.epoch) {
    return bad_frame("frame of incarnation " + std::to_string(header.epoch) +
                     " on the connection of incarnation " + std::to_string(expected.epoch));
  }
  if (header.kind == FrameKind::data) {
    const bool in_place = header.index == expected.next_index ||
                          (expected.gaps && header.index > expected.next_index);
    if (header.index == 0 || (expected.next_index != 0 && !in_place)) {
      return bad_frame("message " + std::to_string(header.index) + " where message " +
                       std::to_string(expected.next_index) + " was due");
    }
  }
  return header;
}

}  // namespace bulkhead::ipc
