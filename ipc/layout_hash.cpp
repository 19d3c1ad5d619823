// One number over the sizes and offsets of everything that two processes share in memory or send as
// raw bytes; part of every hello. A new shared layout is added here.
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "ipc/control_protocol.hpp"
#include "ipc/crash_page.hpp"
#include "ipc/framing.hpp"
#include "ipc/lease_page.hpp"
#include "ipc/queue_frame.hpp"
#include "ipc/queue_layout.hpp"
#include "ipc/rpc_frame.hpp"
#include "ipc/segment_layout.hpp"
#include "ipc/worker_pages.hpp"

namespace bulkhead::ipc {
namespace {

// FNV-1a over 64-bit words; it has to notice a change, not to resist an attack.
constexpr std::uint64_t hash_of(std::initializer_list<std::uint64_t> words) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::uint64_t word : words) {
    for (unsigned shift = 0; shift < 64; shift += 8) {
      hash = (hash ^ ((word >> shift) & 0xff)) * 0x100000001b3;
    }
  }
  return hash;
}

constexpr std::uint64_t hash = hash_of({
    segment_layout_hash(),

    sizeof(BeatPage),
    BeatPage::version_value,
    offsetof(BeatPage, magic),
    offsetof(BeatPage, version),
    offsetof(BeatPage, beat),
    offsetof(BeatPage, phase),
    offsetof(BeatPage, generation),
    sizeof(AttentionPage),
    offsetof(AttentionPage, word),
    sizeof(CrashPage),
    CrashPage::version_value,
    offsetof(CrashPage, frames),
    offsetof(CrashPage, modules),

    sizeof(FrameHeader),
    frame_magic,
    offsetof(FrameHeader, kind),
    offsetof(FrameHeader, epoch),
    offsetof(FrameHeader, total),
    offsetof(FrameHeader, offset),
    offsetof(FrameHeader, index),
    frame_trailer_bytes,
    packet_payload_max,

    sizeof(LeasePage),
    journal_layout_hash(),
    sizeof(QueueFrame),
    offsetof(QueueFrame, epoch),
    offsetof(QueueFrame, attempt),
    offsetof(QueueFrame, task),
    offsetof(QueueFrame, deal),

    sizeof(RpcHeader),
    RpcHeader::version_value,
    offsetof(RpcHeader, what),
    offsetof(RpcHeader, body_kind),
    offsetof(RpcHeader, name_bytes),
    offsetof(RpcHeader, code),
    offsetof(RpcHeader, call),
});

}  // namespace

std::uint64_t layout_hash() noexcept { return hash; }

}  // namespace bulkhead::ipc
