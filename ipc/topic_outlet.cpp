#include "ipc/topic_outlet.hpp"

#include <algorithm>
#include <utility>

namespace bulkhead::ipc {

void TopicOutlet::turn_to(std::uint16_t subscriber, const TopicProducer& lane) noexcept {
  auto newest = connections_.to(subscriber);
  if (newest == out_) return;
  set_in_step(0);
  out_ = std::move(newest);
  unsent_ = lane.position();
  if (subscriber != 0) connections_.forget_before(subscriber);
}

// A subscriber whose connection is quiet sleeps on it while our page says that it is in step. So the page is set
// back before the last try: the buffer that refuses us then is one that the subscriber is yet to empty, and after
// that it sees the page and reads the lane.
void TopicOutlet::give(const TopicProducer& lane) noexcept {
  while (out_) {
    FrameWriter& writer = out_->writer;
    // The rest of a frame that the kernel has in part: the record may be overwritten, the writer has a copy.
    auto status = writer.finish(*out_->wire);
    if (status == WriteStatus::done) {
      if (newest_only_) unsent_ = std::max(unsent_, lane.newest());
      const auto next = lane.kept_from(unsent_);
      unsent_ = next ? next->begin : lane.position();
      if (!next) return set_in_step(out_->peer_epoch);
      const auto header = make_frame_header(FrameKind::data, epoch_, next->number,
                                            static_cast<std::uint32_t>(next->bytes.size()));
      status = writer.write(*out_->wire, header, next->bytes);
      if (status == WriteStatus::blocked) writer.suspend(next->bytes);
      if (status == WriteStatus::done || writer.has_copy()) unsent_ = next->end;
    }
    switch (status) {
      case WriteStatus::done: break;
      case WriteStatus::blocked:
        if (in_step_ == 0) return;
        set_in_step(0);
        break;
      case WriteStatus::broken:
      case WriteStatus::failed: return let_go();  // whose end wakes the subscriber
    }
  }
}

void TopicOutlet::let_go() noexcept {
  set_in_step(0);
  if (out_) connections_.forget(out_);
  out_.reset();
}

void TopicOutlet::set_in_step(std::uint16_t subscriber) noexcept {
  if (in_step_ == subscriber) return;
  in_step_ = subscriber;
  // sync socket.in_step: release; pairs with TopicInlet::is_in_step; the connection was given what lies before
  page_.in_step.store(subscriber, std::memory_order_release);
  // sync socket.in_step: seq_cst fence; pairs with TopicInlet::is_in_step; before the next try to write
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

}  // namespace bulkhead::ipc
