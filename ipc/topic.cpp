// Topic and its messages: a thin face over a publisher's lanes, or over one subscriber's end.
#include <bulkhead/topic.hpp>

#include <utility>

#include "ipc/topic_publisher.hpp"
#include "ipc/topic_reader.hpp"

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
                           ipc::TopicDelivery&& delivery) noexcept
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

Result<TopicMessage> ipc::receive_from(const std::shared_ptr<TopicReader>& reader,
                                       Deadline deadline) {
  const auto hand_on = [&reader](TopicDelivery&& delivery) {
    return Result<TopicMessage>(boost::system::in_place_value, reader, std::move(delivery));
  };
  // A publisher that is at it right now is waited for here, see ShmEndpoint::receive.
  TopicDelivery delivery;
  for (int looks = reader->looks_at_once(deadline);;) {
    const auto glance = reader->take_at_once(delivery, deadline);
    if (glance == TopicReader::Glance::message) return hand_on(std::move(delivery));
    if (glance == TopicReader::Glance::unusual || --looks <= 0) break;
    cpu_pause();
  }
  auto taken = reader->take(deadline);
  if (!taken) return taken.error();
  return hand_on(std::move(*taken));
}

Topic::Topic(std::vector<std::shared_ptr<ipc::Endpoint>> ends) {
  std::vector<std::shared_ptr<ipc::TopicWriter>> writers;
  for (auto& end : ends) {
    BULKHEAD_ASSERT(end->spec().topic.has_value());
    if (end->spec().side == ipc::Side::to) {
      reader_ = std::static_pointer_cast<ipc::TopicReader>(std::move(end));
    } else {
      writers.push_back(std::static_pointer_cast<ipc::TopicWriter>(std::move(end)));
    }
  }
  BULKHEAD_ASSERT(reader_ == nullptr ? !writers.empty() : ends.size() == 1);
  if (!reader_) publisher_ = std::make_shared<ipc::TopicPublisher>(std::move(writers));
}

// As with a channel: where this process is going to be replaced, its leaving is no farewell.
Topic::~Topic() {
  const auto is_single = [](const ipc::EndSpec& spec) {
    return spec.peer_life == ipc::PeerLife::single;
  };
  if (reader_ && is_single(reader_->spec())) reader_->leave();
  if (publisher_ && is_single(publisher_->spec())) publisher_->leave();
}

Result<std::shared_ptr<ipc::TopicReader>> Topic::reader() const {
  if (reader_) return reader_;
  return make_error(Errc::invalid_argument,
                    publisher_->spec().link + ": only its subscribers receive");
}

Result<std::shared_ptr<ipc::TopicPublisher>> Topic::publisher() const {
  if (publisher_) return publisher_;
  return make_error(Errc::invalid_argument,
                    reader_->spec().link + ": only its publisher publishes");
}

Result<void> Topic::publish(std::span<const std::byte> bytes, Deadline deadline) {
  if (!publisher_) return publisher().error();
  return publisher_->publish(bytes, deadline);
}

Result<void> Topic::try_publish(std::span<const std::byte> bytes) {
  return publish(bytes, Deadline::now());
}

Result<TopicMessage> Topic::receive(Deadline deadline) {
  if (!reader_) return reader().error();
  return ipc::receive_from(reader_, deadline);
}

Result<std::optional<TopicMessage>> Topic::try_receive() {
  auto message = receive(Deadline::now());
  if (message) return std::optional<TopicMessage>(std::move(*message));
  if (message.error().is(Errc::would_block)) return std::optional<TopicMessage>();
  return message.error();
}

std::uint64_t Topic::last_published() const noexcept {
  return publisher_ ? publisher_->published() : 0;
}

std::uint64_t Topic::resume_point() const noexcept { return reader_ ? reader_->resume_point() : 0; }

std::uint16_t Topic::epoch() const noexcept { return reader_ ? reader_->peer_epoch() : 0; }

int Topic::native_handle() const noexcept { return reader_ ? reader_->handle() : -1; }

void Topic::close() noexcept {
  if (reader_) reader_->close();
  if (publisher_) publisher_->close();
}

TopicStats Topic::stats() const noexcept {
  if (!reader_) return publisher_->stats();
  const ChannelStats stats = reader_->stats();
  return {.received = reader_->received(),
          .redelivered = reader_->redelivered(),
          .dropped = reader_->dropped(),
          .sleeps = stats.sleeps,
          .wakes = stats.wakes,
          .safety_net = stats.safety_net,
          .violations = stats.violations};
}

Waitable::Waitable(Topic& topic) noexcept : endpoint_(topic.reader_.get()) {}

}  // namespace bulkhead
