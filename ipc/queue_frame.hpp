// What the two ends of a queue say to each other, each in one message of the channel between them: a
// header, and behind it the bytes of a task or of a result. Used by dispatcher and consumer; knows no
// channel.
//
//   dispatcher -> worker   welcome    the incarnation `epoch` may say hello
//                          task       a task for the incarnation `epoch`, and for no other
//   worker -> dispatcher   hello      that incarnation leases now: tasks are welcome
//                          started    the task is about to be handed to the program
//                          completed  the result follows
//                          released   given back undone, nobody's fault
//                          failed     given back by an exception
//
// A worker names a task by `task` and by `deal`, the index of the message that brought it: what is said
// about an earlier deal of the same task means nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

namespace bulkhead::ipc {

struct QueueFrame {
  enum class Kind : std::uint32_t {
    welcome = 1,
    task = 2,
    hello = 3,
    started = 4,
    completed = 5,
    released = 6,
    failed = 7,
  };

  Kind kind = Kind::welcome;
  std::uint16_t epoch = 0;    // of the worker's incarnation
  std::uint16_t attempt = 0;  // of a task: 1 for the first
  std::uint64_t task = 0;
  std::uint64_t deal = 0;  // worker to dispatcher
};
static_assert(sizeof(QueueFrame) == 24 && std::is_trivially_copyable_v<QueueFrame>);
static_assert(std::has_unique_object_representations_v<QueueFrame>);

inline constexpr std::size_t queue_frame_bytes = sizeof(QueueFrame);

inline void write_frame(std::byte* to, const QueueFrame& frame) noexcept {
  std::memcpy(to, &frame, sizeof frame);
}
// Read once out of memory that a peer may still write. Nothing for what is too short or of no known kind.
inline std::optional<QueueFrame> read_frame(std::span<const std::byte> message) noexcept {
  QueueFrame frame;
  if (message.size() < sizeof frame) return std::nullopt;
  std::memcpy(static_cast<void*>(&frame), message.data(), sizeof frame);
  if (frame.kind < QueueFrame::Kind::welcome || frame.kind > QueueFrame::Kind::failed) {
    return std::nullopt;
  }
  return frame;
}

}  // namespace bulkhead::ipc
