// What a segment looks like in memory: one page with a header and the words of one end, then the
// ring, if there is one. Shared by two processes and by the brain, which only reads. Used through
// segment.hpp (making, checking) and end_page.hpp (reading, writing); knows nothing of links.
//
//   0      header    {magic, version, layout hash, total size, ring offset and capacity, base index, ...}
//   128    committed {turn, 2 x {position, count}}                        as a producer
//             newest                                                   as a publisher of a topic
//   256    taken     {epoch:16 position:48}, redelivered count            as a consumer
//             dropped count                                            as either end of a topic
//   384    acked     {turn, 2 x {epoch:16 position:48, count}}            as a consumer
//   512    armed     {armed, closed, cpu}   set before this end sleeps for a message, or went for good
//                    {in_step}              on sockets: who has been given a copy of all that is committed
//   640    wants_space                      set before this end sleeps for space
//   768    message_bell                     rung by this end after a commit
//   896    space_bell                       rung by this end after an acknowledgement
//   1024   reclaimed {position, count}                                   as a publisher of a topic
//   4096   ring, capacity bytes             shm: the messages; sockets: those to be sent again (resend_window)
//   ...    slabs, slab bytes                absent where nothing is lent
//
// One writer: the process that made the segment; the seals keep everybody else from mapping it
// writable. Words that the peer reads at different times lie on lines of their own, 128 bytes apart
// because processors fetch lines in pairs. All words are little-endian, all zero at first.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

namespace bulkhead::ipc {

// Our own constant: a layout that two binaries share must not follow -mtune.
inline constexpr std::size_t cache_line = 64;
inline constexpr std::size_t line_stride = 2 * cache_line;
inline constexpr std::size_t end_page_bytes = 4096;

// Two words that must be read together. The writer fills the half that `turn` does not name, then
// moves `turn`: a reader, even of a dead writer's page, finds a pair that was stored together.
struct Twin {
  struct Half {
    std::atomic<std::uint64_t> first, second;
  };
  std::atomic<std::uint64_t> turn;  // the current half is half[turn & 1]
  Half half[2];
};

struct SegmentHeader {
  static constexpr std::uint64_t magic_value = 0x31474553'44485042;  // "BPHDSEG1"
  static constexpr std::uint32_t version_value = 2;

  std::atomic<std::uint64_t> magic;
  std::atomic<std::uint32_t> version;
  std::atomic<std::uint32_t> layout;
  std::atomic<std::uint64_t> total_bytes;
  std::atomic<std::uint64_t> ring_offset, ring_capacity;  // both 0 without a ring
  std::atomic<std::uint64_t> base_index;  // messages that earlier incarnations committed
  std::atomic<std::uint32_t> epoch;       // 1 to 65535
  std::atomic<std::uint32_t> membarrier;  // 1: the owner is registered for the expedited barrier
  std::atomic<std::uint64_t> slab_bytes;  // of the area behind the ring; a power of two or 0
};

struct EndPage {
  alignas(line_stride) SegmentHeader header;
  alignas(line_stride) Twin committed;  // position, count
  std::atomic<std::uint64_t> newest;    // see topic_producer.hpp; stored with each commit

  alignas(line_stride) std::atomic<std::uint64_t> taken;  // packed Cursor
  std::atomic<std::uint64_t> redelivered;                 // deliveries marked as redelivered
  std::atomic<std::uint64_t> dropped;                     // see topic_producer.hpp
  alignas(line_stride) Twin acked;                        // packed Cursor, count

  alignas(line_stride) std::atomic<std::uint32_t> armed;  // see wake.hpp, "Armings"
  std::atomic<std::uint32_t> closed;
  std::atomic<std::uint32_t>
      cpu;  // where this end last began to wait, plus 1; stored when it changes
  // On sockets: the peer's incarnation whose connection was given everything that is committed, 0 for none.
  std::atomic<std::uint32_t> in_step;
  alignas(line_stride) std::atomic<std::uint32_t> wants_space;  // as armed
  alignas(line_stride) std::atomic<std::uint32_t> message_bell;
  alignas(line_stride) std::atomic<std::uint32_t> space_bell;

  alignas(line_stride) std::atomic<std::uint64_t> reclaimed;  // see topic_producer.hpp
  std::atomic<std::uint64_t> reclaimed_count;
};

static_assert(std::is_standard_layout_v<EndPage> && std::is_trivially_destructible_v<EndPage>);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free &&
              std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(Twin) == 40 && sizeof(SegmentHeader) == 64);
static_assert(offsetof(EndPage, committed) == 128 && offsetof(EndPage, newest) == 168 &&
              offsetof(EndPage, taken) == 256 && offsetof(EndPage, redelivered) == 264 &&
              offsetof(EndPage, dropped) == 272 && offsetof(EndPage, acked) == 384 &&
              offsetof(EndPage, armed) == 512 && offsetof(EndPage, closed) == 516 &&
              offsetof(EndPage, cpu) == 520 && offsetof(EndPage, in_step) == 524 &&
              offsetof(EndPage, wants_space) == 640 && offsetof(EndPage, message_bell) == 768 &&
              offsetof(EndPage, space_bell) == 896 && offsetof(EndPage, reclaimed) == 1024 &&
              sizeof(EndPage) <= end_page_bytes);

// Compared before a segment is used: the offsets above, the record format and its limits.
inline constexpr std::uint32_t record_format = 2;        // of lane_record.hpp
inline constexpr std::uint32_t topic_record_format = 2;  // of topic_record.hpp
constexpr std::uint32_t segment_layout_hash() noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a: it has to notice a change, not to resist
  for (const std::size_t word : {offsetof(EndPage, committed),
                                 offsetof(EndPage, taken),
                                 offsetof(EndPage, redelivered),
                                 offsetof(EndPage, acked),
                                 offsetof(EndPage, armed),
                                 offsetof(EndPage, closed),
                                 offsetof(EndPage, cpu),
                                 offsetof(EndPage, in_step),
                                 offsetof(EndPage, wants_space),
                                 offsetof(EndPage, message_bell),
                                 offsetof(EndPage, space_bell),
                                 offsetof(EndPage, dropped),
                                 offsetof(EndPage, reclaimed),
                                 offsetof(EndPage, newest),
                                 offsetof(Twin, half),
                                 sizeof(Twin),
                                 sizeof(EndPage),
                                 end_page_bytes,
                                 cache_line,
                                 std::size_t{record_format},
                                 std::size_t{topic_record_format}}) {
    hash = (hash ^ word) * 0x100000001b3;
  }
  return static_cast<std::uint32_t>(hash ^ (hash >> 32));
}

}  // namespace bulkhead::ipc
