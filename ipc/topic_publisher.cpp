#include "ipc/topic_publisher.hpp"

#include <algorithm>
#include <utility>

namespace bulkhead::ipc {

// A predecessor that was killed inside publish() has given its last number to some lanes only. The others
// tell that as a gap, and all count on together.
TopicPublisher::TopicPublisher(std::vector<std::shared_ptr<TopicWriter>> writers) noexcept
    : writers_(std::move(writers)) {
  for (const auto& writer : writers_) published_ = std::max(published_, writer->number());
  for (const auto& writer : writers_) writer->skip_to(published_);
  published_before_ = published_;
}

Result<void> TopicPublisher::publish(std::span<const std::byte> bytes, Deadline deadline) {
  if (bytes.size() > spec().options.max_message) {
    return make_error(Errc::message_too_big, spec().link + ": " + std::to_string(bytes.size()) +
                                                 " bytes, max_message is " +
                                                 std::to_string(spec().options.max_message));
  }
  if (deadline.stopped()) return make_error(Errc::stopped, spec().link);
  bool anybody = false;
  for (const auto& writer : writers_) {
    writer->look_around();
    anybody = anybody || !writer->is_gone();
  }
  if (!anybody) return writers_.front()->trouble();
  // All or nobody: there is room everywhere before the first of them gets it.
  for (lacking_ = 0; lacking_ < writers_.size(); ++lacking_) {
    if (auto room = writers_[lacking_]->await_room(bytes.size(), deadline); !room) return room;
  }
  lacking_ = 0;
  ++published_;
  for (const auto& writer : writers_) writer->publish(bytes, published_);
  for (const auto& writer : writers_) writer->wake();
  return {};
}

TopicStats TopicPublisher::stats() const noexcept {
  TopicStats sum;
  for (const auto& writer : writers_) {
    const ChannelStats stats = writer->stats();
    sum.dropped += writer->dropped();
    sum.sleeps += stats.sleeps;
    sum.wakes += stats.wakes;
    sum.safety_net += stats.safety_net;
    sum.violations += stats.violations;
  }
  sum.published = published_ - published_before_;
  return sum;
}

void TopicPublisher::close() noexcept {
  for (const auto& writer : writers_) writer->close();
}

void TopicPublisher::leave() noexcept {
  for (const auto& writer : writers_) writer->leave();
}

}  // namespace bulkhead::ipc
