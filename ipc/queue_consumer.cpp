#include "ipc/queue_consumer.hpp"

#include <cstring>
#include <utility>

#include "base/clock.hpp"
#include "ipc/endpoint.hpp"

namespace bulkhead::ipc {

QueueConsumer::QueueConsumer(Channel channel, std::optional<LeaseClock> clock) noexcept
    : channel_(std::move(channel)),
      clock_(std::move(clock)),
      epoch_(channel_.endpoint().spec().epoch),
      message_max_(channel_.endpoint().spec().options.max_message - queue_frame_bytes) {}

// The dispatcher must hear nothing more of us: it blames the task that we held, once we are dead.
Error QueueConsumer::condemned() {
  return make_error(Errc::stopped, channel_.endpoint().spec().link +
                                       ": the task was held for longer than the lease_timeout; "
                                       "the supervisor kills this worker");
}

Result<Lease> QueueConsumer::lease(Deadline deadline) {
  if (clock_ && clock_->is_condemned()) return condemned();
  if (is_leased_) {
    return make_error(Errc::invalid_argument,
                      channel_.endpoint().spec().link +
                          ": a lease is out; complete or release it before the next");
  }
  for (;;) {
    if (auto said = say_what_is_owed(deadline); !said) return said.error();
    auto message = channel_.receive(deadline);
    if (!message) return message.error();
    const auto frame = read_frame(message->bytes());
    if (!frame ||
        (frame->kind != QueueFrame::Kind::task && frame->kind != QueueFrame::Kind::welcome)) {
      message->acknowledge();
      ++stats_.violations;
      return make_error(Errc::protocol_violation,
                        channel_.endpoint().spec().link + ": a message that is no task");
    }
    // What was meant for a predecessor of ours has been taken back from it.
    if (frame->epoch != epoch_) {
      message->acknowledge();
      ++stats_.stale;
      continue;
    }
    if (frame->kind == QueueFrame::Kind::welcome) {
      message->acknowledge();
      owed_.push_back({.kind = QueueFrame::Kind::hello, .epoch = epoch_});
      continue;
    }
    QueueFrame begun = *frame;
    begun.kind = QueueFrame::Kind::started;
    begun.deal = message->index();
    // Before the program sees it: from here on it is the suspect.
    if (auto said = send(begun, {}, deadline); !said) {
      message->release();
      return said.error();
    }
    leased_ = begun;
    is_leased_ = true;
    if (clock_) clock_->begin(base::monotonic_ns());
    return Lease(shared_from_this(), std::move(*message), begun.task, begun.attempt);
  }
}

Result<void> QueueConsumer::complete(Message& task, std::span<const std::byte> result,
                                     Deadline deadline) {
  if (result.size() > message_max_) {
    return make_error(Errc::message_too_big, channel_.endpoint().spec().link + ": a result of " +
                                                 std::to_string(result.size()) +
                                                 " bytes, max_message is " +
                                                 std::to_string(message_max_));
  }
  QueueFrame done = leased_;
  done.kind = QueueFrame::Kind::completed;
  // Before it is said: what is said is not taken back. To wait for room is no longer to hold the task.
  if (clock_ && !clock_->end()) return condemned();
  if (auto sent = send(done, result, deadline); !sent) {
    if (clock_) clock_->go_on();
    return sent;
  }
  // Only for the room that it takes: what is over and what is not, the dispatcher's journal says.
  task.acknowledge();
  is_leased_ = false;
  return {};
}

void QueueConsumer::give_back(Message& task, QueueFrame::Kind why) noexcept {
  QueueFrame frame = leased_;
  frame.kind = why;
  is_leased_ = false;
  if (clock_ && !clock_->end()) return task.release();
  task.acknowledge();
  owed_.push_back(frame);
  // With no room the next lease() waits for it. Dying before that, we are suspected as if we had it.
  static_cast<void>(say_what_is_owed(Deadline::now()));
}

Result<void> QueueConsumer::say_what_is_owed(Deadline deadline) {
  while (!owed_.empty()) {
    if (auto sent = send(owed_.front(), {}, deadline); !sent) return sent;
    owed_.pop_front();
  }
  return {};
}

Result<void> QueueConsumer::send(const QueueFrame& frame, std::span<const std::byte> result,
                                 Deadline deadline) {
  buffer_.resize(queue_frame_bytes + result.size());
  write_frame(buffer_.data(), frame);
  if (!result.empty())
    std::memcpy(buffer_.data() + queue_frame_bytes, result.data(), result.size());
  return channel_.send(buffer_, deadline);
}

}  // namespace bulkhead::ipc
