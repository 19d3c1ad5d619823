#include "ipc/topic_inlet.hpp"

#include <poll.h>

#include <cstring>
#include <utility>

namespace bulkhead::ipc {
namespace {

// A kernel's buffers may hold that many frames, or more, that the lane does not give us any more; a hostile
// publisher would send them for ever.
constexpr int frames_passed_max = 4096;

// How often the lane may have moved on while the connection was read.
constexpr int tries_max = 16;

}  // namespace

void TopicInlet::turn_to(std::uint16_t publisher) noexcept {
  auto newest = connections_.to(publisher);
  if (newest == in_) return;
  drop_frame();
  in_ = std::move(newest);
  proven_ = awaited_ = false;
  connections_.forget_before(publisher);
}

TopicInlet::Found TopicInlet::poll(TopicConsumer& lane, const EndPage& publisher, bool finished,
                                   TopicConsumer::Message& message) {
  for (int tries = 0; tries < tries_max; ++tries) {
    TopicConsumer::Head head;
    const auto found = find(lane, publisher, finished, head);
    if (found != Found::message) return found;
    if (frame_ && frame_->index == head.number) return take_frame(head, lane, message);
    if (lane.copy(head, message)) return Found::message;
  }
  const auto found = lane.poll(message);
  if (found == Found::violation) complaint_ = lane.complaint();
  return found;
}

// Each record has a frame, or never gets one: it was committed before the connection came, or the kernel was full. Frames
// come in the order of their numbers, so one with a larger number says the latter.
TopicInlet::Found TopicInlet::find(TopicConsumer& lane, const EndPage& publisher, bool finished,
                                   TopicConsumer::Head& head) {
  awaited_ = false;
  if (finished) let_go();  // the lane has all of it
  for (int tries = 0; in_ && tries < tries_max; ++tries) {
    const auto found = lane.peek(head);
    if (found == Found::violation) return spoil(lane.complaint());
    const bool is_there = found == Found::message;
    const Reached reached = reach(is_there ? head.number : lane.last_number() + 1);
    if (reached == Reached::spoiled) return Found::violation;
    if (!is_there) {
      if (!frame_) {
        awaited_ = reached == Reached::dry && is_in_step(publisher);
        return Found::nothing;
      }
      // A frame is written after its record was committed: either it was overwritten before we saw it, and is
      // missing like all that are dropped, or by now there is more to see.
      if (frame_->index <= lane.known_number()) {
        drop_frame();
      } else if (!lane.ready()) {
        return spoil("a frame is of no message of its lane");
      }
      continue;
    }
    if (frame_ && frame_->index == head.number) return Found::message;
    if (reached == Reached::dry && is_in_step(publisher)) {
      awaited_ = true;
      return Found::nothing;
    }
    if (reached == Reached::frame && lane.conflates()) continue;  // newer than what we looked for
    return Found::message;
  }
  const auto found = lane.peek(head);
  if (found == Found::violation) complaint_ = lane.complaint();
  return found;
}

// Passes over frames of smaller numbers: what they carry was taken from the lane, or has been dropped.
TopicInlet::Reached TopicInlet::reach(std::uint64_t number) {
  for (int passed = 0; passed < frames_passed_max; ++passed) {
    if (frame_ && frame_->index >= number) return Reached::frame;
    drop_frame();
    Incoming incoming;
    switch (in_->reader->next(*in_->wire, incoming)) {
      case ReadStatus::message:
        frame_ = std::move(incoming);
        proven_ = true;
        break;
      case ReadStatus::nothing: return Reached::dry;
      case ReadStatus::no_memory: return Reached::too_late;
      case ReadStatus::closed:
      case ReadStatus::ended: let_go(); return Reached::dry;
      case ReadStatus::violated: spoil(in_->reader->fault().context); return Reached::spoiled;
    }
  }
  drop_frame();
  return Reached::too_late;
}

TopicInlet::Found TopicInlet::take_frame(const TopicConsumer::Head& head, TopicConsumer& lane,
                                         TopicConsumer::Message& message) {
  if (frame_->bytes != head.length) return spoil("a frame is not what its lane has in its place");
  message.words.resize(words_for(head.length));
  if (head.length != 0) {
    std::memcpy(message.words.data(), frame_->buffer.memory.get(), head.length);
  }
  lane.step(head, message);
  drop_frame();
  return Found::message;
}

// The connection is quiet, and brings everything that is committed. Where it has brought nothing yet, the page may
// speak of the connection before it.
bool TopicInlet::is_in_step(const EndPage& publisher) const noexcept {
  if (!in_ || !proven_) return false;
  // sync socket.in_step: acquire; pairs with TopicOutlet::set_in_step; shows what the connection was not given
  return publisher.in_step.load(std::memory_order_acquire) == epoch_;
}

void TopicInlet::drop_frame() noexcept {
  if (frame_) connections_.pool().put(std::move(frame_->buffer));
  frame_.reset();
}

void TopicInlet::let_go() noexcept {
  drop_frame();
  if (in_) connections_.forget(in_);
  in_.reset();
}

// Nothing after the fault can be trusted; what came before it was delivered.
TopicInlet::Found TopicInlet::spoil(const std::string& complaint) {
  complaint_ = complaint;
  let_go();
  return Found::violation;
}

WaitPlan TopicInlet::plan() const noexcept {
  return in_ ? WaitPlan{in_->wire->read_fd(), POLLIN} : WaitPlan{};
}

}  // namespace bulkhead::ipc
