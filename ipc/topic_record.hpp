// The record of a topic's lane: two header words, then the payload, in whole cache lines; and the way
// to write and to read one word by word, because a reader may be overtaken while it copies. Used by the
// two ends of such a lane only; docs/design/topic.md has the invariants (T1) to (T5).
//
//   63    32 31     0 63    0
//   | kind  | length | number | payload … | up to the next multiple of 64 |
//   |     head       |
//
// A head of 0 is no record yet. Its store is the commit.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "ipc/segment_layout.hpp"

namespace bulkhead::ipc {

enum class TopicRecordKind : std::uint32_t { none = 0, message = 1, pad = 2 };

struct TopicRecord {
  TopicRecordKind kind = TopicRecordKind::none;
  std::uint32_t length = 0;  // message: bytes of payload; pad: bytes up to the end of the ring
  std::uint64_t number = 0;  // of the message on its topic; pad: 0
};

inline constexpr std::size_t topic_header_bytes = 16;

constexpr std::uint64_t topic_record_bytes(std::uint64_t payload_bytes) noexcept {
  return (payload_bytes + topic_header_bytes + cache_line - 1) & ~std::uint64_t{cache_line - 1};
}

// A record of half the ring at most fits at every offset of an empty ring: padding before it is shorter.
constexpr std::size_t topic_payload_max(std::size_t ring_capacity) noexcept {
  return (ring_capacity - cache_line) / 2;  // what a channel takes, so that one rule serves both
}
static_assert(topic_record_bytes(topic_payload_max(4096)) <= 4096 / 2);

constexpr std::size_t words_for(std::size_t bytes) noexcept { return (bytes + 7) / 8; }

// Offsets are multiples of 8 in a page-aligned mapping.
inline std::atomic<std::uint64_t>& topic_word(std::byte* ring, std::uint64_t offset) noexcept {
  return *reinterpret_cast<std::atomic<std::uint64_t>*>(ring + offset);
}
inline const std::atomic<std::uint64_t>& topic_word(const std::byte* ring,
                                                    std::uint64_t offset) noexcept {
  return *reinterpret_cast<const std::atomic<std::uint64_t>*>(ring + offset);
}

constexpr std::uint64_t topic_head(const TopicRecord& record) noexcept {
  return std::uint64_t{static_cast<std::uint32_t>(record.kind)} << 32 | record.length;
}

// All words but the head are stored and loaded relaxed: topic.reclaim keeps them behind the announcement that
// they are overwritten, and topic.commit before the commit.
inline void store_topic_body(std::byte* ring, std::uint64_t offset, std::uint64_t number,
                             std::span<const std::byte> payload) noexcept {
  topic_word(ring, offset + 8).store(number, std::memory_order_relaxed);  // relaxed: as above
  std::uint64_t at = offset + topic_header_bytes;
  for (; payload.size() >= 8; payload = payload.subspan(8), at += 8) {
    std::uint64_t word;
    std::memcpy(&word, payload.data(), 8);
    topic_word(ring, at).store(word, std::memory_order_relaxed);  // relaxed: as above
  }
  if (payload.empty()) return;
  std::uint64_t last = 0;
  std::memcpy(&last, payload.data(), payload.size());
  topic_word(ring, at).store(last, std::memory_order_relaxed);  // relaxed: as above
}

inline TopicRecord load_topic_record(const std::byte* ring, std::uint64_t offset) noexcept {
  // sync topic.commit: acquire; pairs with TopicProducer::commit; shows the record's other words
  const std::uint64_t first = topic_word(ring, offset).load(std::memory_order_acquire);
  const std::uint64_t number =
      topic_word(ring, offset + 8).load(std::memory_order_relaxed);  // relaxed: as above
  return {static_cast<TopicRecordKind>(first >> 32), static_cast<std::uint32_t>(first), number};
}

inline void load_topic_payload(const std::byte* ring, std::uint64_t offset,
                               std::span<std::uint64_t> to) noexcept {
  for (std::uint64_t at = offset + topic_header_bytes; auto& word : to) {
    word = topic_word(ring, at).load(std::memory_order_relaxed);  // relaxed: as above
    at += 8;
  }
}

}  // namespace bulkhead::ipc
