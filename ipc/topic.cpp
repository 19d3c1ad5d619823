// Topic and its messages: a thin face over a publisher's lanes, or over one subscriber's end.
#include <bulkhead/topic.hpp>

#include <algorithm>
#include <utility>

#include "ipc/topic_reader.hpp"
#include "ipc/topic_writer.hpp"

namespace bulkhead {

std::string_view to_string(Overflow overflow) noexcept {
  switch (overflow) {
    case Overflow::block: return "block";
    case Overflow::drop_oldest: return "drop_oldest";
    case Overflow::drop_newest: return "drop_newest";
    case Overflow::conflate: return "conflate";
  }
  return "?";
}

std::optional<Overflow> parse_overflow(std::string_view name) noexcept {
  for (const auto overflow :
       {Overflow::block, Overflow::drop_oldest, Overflow::drop_newest, Overflow::conflate}) {
    if (name == to_string(overflow)) return overflow;
  }
  return std::nullopt;
}

TopicMessage::TopicMessage(std::shared_ptr<ipc::TopicReader> reader,
                           ipc::TopicDelivery delivery) noexcept
    : reader_(std::move(reader)),
      delivery_(std::move(delivery)),
      uncaught_(ipc::uncaught_exceptions()) {}

TopicMessage& TopicMessage::operator=(TopicMessage&& other) noexcept {
  if (this != &other) {
    TopicMessage before(std::move(*this));  // settled at the end of this block
    reader_ = std::move(other.reader_);
    delivery_ = std::move(other.delivery_);
    uncaught_ = other.uncaught_;
  }
  return *this;
}

// An exception that began after the message was received means that its work was not done.
TopicMessage::~TopicMessage() {
  if (reader_ != nullptr && ipc::uncaught_exceptions() <= uncaught_) reader_->settle(delivery_);
}

void TopicMessage::acknowledge() noexcept {
  if (reader_ == nullptr) return;
  delivery_.bytes = 0;
  reader_->settle(delivery_);
  reader_ = nullptr;
}

// A predecessor that was killed inside publish() has given its last number to some lanes only. The others
// tell that as a gap, and all count on together.
Topic::Topic(std::vector<std::shared_ptr<ipc::Endpoint>> ends) {
  for (auto& end : ends) {
    BULKHEAD_ASSERT(end->spec().topic.has_value());
    if (end->spec().side == ipc::Side::to) {
      reader_ = std::static_pointer_cast<ipc::TopicReader>(std::move(end));
    } else {
      writers_.push_back(std::static_pointer_cast<ipc::TopicWriter>(std::move(end)));
    }
  }
  BULKHEAD_ASSERT(reader_ == nullptr || (writers_.empty() && ends.size() == 1));
  for (const auto& writer : writers_) published_ = std::max(published_, writer->number());
  for (const auto& writer : writers_) writer->skip_to(published_);
  published_before_ = published_;
}

// As with a channel: where this process is going to be replaced, its leaving is no farewell.
Topic::~Topic() {
  const auto leave = [](ipc::TopicEnd& end) {
    if (end.spec().peer_life == ipc::PeerLife::single) end.leave();
  };
  if (reader_) leave(*reader_);
  for (const auto& writer : writers_) leave(*writer);
}

Error Topic::wrong_end(const char* what) const {
  std::string link = "topic";
  if (reader_) link = reader_->spec().link;
  if (!writers_.empty()) link = writers_.front()->spec().link;
  return make_error(Errc::invalid_argument, link + ": " + what);
}

Result<void> Topic::publish(std::span<const std::byte> bytes, Deadline deadline) {
  if (writers_.empty()) return wrong_end("only its publisher publishes");
  const auto& spec = writers_.front()->spec();
  if (bytes.size() > spec.options.max_message) {
    return make_error(Errc::message_too_big, spec.link + ": " + std::to_string(bytes.size()) +
                                                 " bytes, max_message is " +
                                                 std::to_string(spec.options.max_message));
  }
  if (deadline.stopped()) return make_error(Errc::stopped, spec.link);
  bool anybody = false;
  for (const auto& writer : writers_) {
    writer->look_around();
    anybody = anybody || !writer->is_gone();
  }
  if (!anybody) return writers_.front()->trouble();
  // All or nobody: there is room everywhere before the first of them gets it.
  for (const auto& writer : writers_) {
    if (auto room = writer->await_room(bytes.size(), deadline); !room) return room;
  }
  ++published_;
  for (const auto& writer : writers_) writer->publish(bytes, published_);
  return {};
}

Result<void> Topic::try_publish(std::span<const std::byte> bytes) {
  return publish(bytes, Deadline::now());
}

Result<TopicMessage> Topic::receive(Deadline deadline) {
  if (!reader_) return wrong_end("only its subscribers receive");
  auto delivery = reader_->take(deadline);
  if (!delivery) return delivery.error();
  return TopicMessage(reader_, std::move(*delivery));
}

Result<std::optional<TopicMessage>> Topic::try_receive() {
  auto message = receive(Deadline::now());
  if (message) return std::optional<TopicMessage>(std::move(*message));
  if (message.error().is(Errc::would_block)) return std::optional<TopicMessage>();
  return message.error();
}

std::uint64_t Topic::resume_point() const noexcept { return reader_ ? reader_->resume_point() : 0; }

std::uint16_t Topic::epoch() const noexcept { return reader_ ? reader_->peer_epoch() : 0; }

void Topic::close() noexcept {
  if (reader_) reader_->close();
  for (const auto& writer : writers_) writer->close();
}

TopicStats Topic::stats() const noexcept {
  TopicStats sum;
  const auto add = [&sum](const ChannelStats& stats) {
    sum.sleeps += stats.sleeps;
    sum.wakes += stats.wakes;
    sum.safety_net += stats.safety_net;
    sum.violations += stats.violations;
  };
  for (const auto& writer : writers_) {
    add(writer->stats());
    sum.dropped += writer->dropped();
  }
  sum.published = published_ - published_before_;
  if (reader_) {
    add(reader_->stats());
    sum.received = reader_->received();
    sum.redelivered = reader_->redelivered();
    sum.dropped = reader_->dropped();
  }
  return sum;
}

}  // namespace bulkhead
