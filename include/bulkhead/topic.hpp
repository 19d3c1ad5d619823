// One publisher, any number of subscribers, each with its own answer to being too slow.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead {

// What happens to a message that finds a subscriber's lane full.
enum class Overflow : std::uint8_t {
  block,        // the publisher waits for this subscriber: it loses nothing
  drop_oldest,  // it takes the place of the oldest messages that wait there
  drop_newest,  // it does not reach this subscriber
  conflate      // only the newest message counts: what is older is passed over
};
std::string_view to_string(Overflow) noexcept;  // as in a config
std::optional<Overflow> parse_overflow(std::string_view) noexcept;

struct TopicPolicy {
  Overflow overflow = Overflow::block;
  // Of the messages that are still in its lane, a new incarnation of the subscriber is given the last so
  // many again, acknowledged ones too. With conflate 0 or 1.
  std::uint32_t history = 0;
  friend bool operator==(const TopicPolicy&, const TopicPolicy&) = default;
};

struct TopicOptions {
  std::size_t capacity = std::size_t{1}
                         << 20;  // bytes per subscriber; shm: a power of two, 4 KiB at least
  std::size_t max_message = std::size_t{64} << 10;  // bytes; on shm at most (capacity - 64) / 2
  WaitMode wait = WaitMode::adaptive;
  TopicPolicy policy{};
};

struct TopicStats {
  std::uint64_t published = 0;  // by this end
  std::uint64_t received = 0, redelivered = 0;
  // At the publisher: messages that a full lane with drop_newest refused, once for each subscriber. At
  // a subscriber: the sum of what gap() told.
  std::uint64_t dropped = 0;
  std::uint64_t sleeps = 0, wakes = 0;  // times we slept; times we had to wake a peer
  std::uint64_t safety_net = 0;  // sleeps ended by the bounded-sleep net alone: a lost wake-up
  std::uint64_t violations = 0;  // what peers did against the protocol
};

namespace ipc {
class Endpoint;
class TopicPublisher;
class TopicReader;

struct TopicDelivery {
  std::vector<std::uint64_t> words;  // the bytes, and what fills the last word
  std::size_t bytes = 0;
  std::uint64_t number = 0, gap = 0;
  std::uint64_t end = 0;      // the cursor once it is done with
  std::uint64_t dropped = 0;  // told up to here
  std::uint16_t epoch = 0;
  bool redelivered = false;
};
}  // namespace ipc

// Purpose: a subscriber's own copy of a message; nobody can change it any more.
// Ownership: keeps its subscriber's end alive. Messages of one subscriber are let go by the thread that
//   receives.
// Acknowledging: destroyed normally, or by acknowledge(), it acknowledges itself and all before it;
//   destroyed while an exception unwinds, it does not.
// After a crash of the subscriber: what was not acknowledged, and is still in the lane, comes again to
//   its successor, with redelivered() true for what the predecessor had taken.
class TopicMessage {
 public:
  TopicMessage(std::shared_ptr<ipc::TopicReader>, ipc::TopicDelivery&&) noexcept;
  TopicMessage(TopicMessage&&) noexcept = default;
  TopicMessage& operator=(TopicMessage&&) noexcept;
  ~TopicMessage();

  std::span<const std::byte> bytes() const noexcept {
    return std::as_bytes(std::span(delivery_.words)).first(delivery_.bytes);
  }
  // The publisher's number of this message: 1 for the first of the topic, the same for all subscribers.
  std::uint64_t index() const noexcept { return delivery_.number; }
  // How many messages directly before this one the subscriber will never get. It counts what its policy
  // dropped, and what a publisher that died inside publish() had given to others only.
  std::uint64_t gap() const noexcept { return delivery_.gap; }
  std::uint16_t epoch() const noexcept { return delivery_.epoch; }  // the publisher's incarnation
  bool redelivered() const noexcept { return delivery_.redelivered; }

  void acknowledge() noexcept;  // bytes() is empty from then on

 private:
  std::shared_ptr<ipc::TopicReader> reader_;  // null once settled
  ipc::TopicDelivery delivery_;
  int uncaught_ = 0;  // std::uncaught_exceptions() when it was received
};

// One end of a topic: its publisher's, or one subscriber's.
// Threads: one at a time. Ownership: destroying one closes it, but for a topic that a supervisor holds:
//   there the others wait for the next incarnation, and only close() says that no more will come.
// Blocking: publish() while a subscriber whose policy is block has no room, receive() while there is
//   nothing new; both up to their deadline. Subscribers with another policy delay nobody.
// Errors: timed_out, would_block, stopped, message_too_big, protocol_violation; closed and peer_died
//   when every subscriber, or the publisher, is gone for good; invalid_argument at the wrong end. After
//   an error nothing was published or taken.
// After a crash of the publisher: its successor numbers on, and what was committed before is received
//   first. A publish() that its publisher did not live to finish may have reached some subscribers; the
//   others are told a gap of one.
class Topic {
 public:
  // For the runtime: the publisher's ends, one for each subscriber, or the one end of a subscriber.
  explicit Topic(std::vector<std::shared_ptr<ipc::Endpoint>>);
  Topic(Topic&&) noexcept = default;
  Topic& operator=(Topic&&) noexcept = default;
  ~Topic();

  bool is_publisher() const noexcept { return publisher_ != nullptr; }

  // Success means committed for every subscriber whose policy did not drop it.
  [[nodiscard]] Result<void> publish(std::span<const std::byte> bytes,
                                     Deadline = Deadline::never());
  [[nodiscard]] Result<void> try_publish(std::span<const std::byte> bytes);
  // The number that the last message was given, by this publisher or by a predecessor.
  std::uint64_t last_published() const noexcept;

  [[nodiscard]] Result<TopicMessage> receive(Deadline = Deadline::never());
  [[nodiscard]] Result<std::optional<TopicMessage>> try_receive();
  // The number after the last one that a predecessor acknowledged. History comes from before it.
  std::uint64_t resume_point() const noexcept;
  std::uint16_t epoch() const noexcept;  // the publisher's incarnation; 0 while there is none

  // Completion signatures: void(Result<void>), void(Result<TopicMessage>). Defined in <bulkhead/async.hpp>,
  // which says more. One operation at a time. async_publish copies the bytes, and waits for every subscriber
  // whose policy is block.
  template <class Token>
  auto async_publish(std::span<const std::byte> bytes, Token&& token);
  template <class Token>
  auto async_receive(Token&& token);

  // At a subscriber: a descriptor for an event loop, the same as long as this end lives. It polls readable when
  // receiving is worth a try, until one finds nothing. Made by the first call; ask after a fork, not before.
  // What the supervisor has to say may come to another thread: try once a second besides. -1 at a publisher.
  int native_handle() const noexcept;

  void close() noexcept;
  TopicStats stats() const noexcept;

 private:
  friend class Waitable;
  Result<std::shared_ptr<ipc::TopicReader>> reader() const;
  Result<std::shared_ptr<ipc::TopicPublisher>> publisher() const;

  std::shared_ptr<ipc::TopicPublisher> publisher_;  // one of the two
  std::shared_ptr<ipc::TopicReader> reader_;
};

// What wait_any() waits for: a channel, or a subscriber's end of a topic. Borrowed.
class Waitable {
 public:
  Waitable(Channel& channel) noexcept : endpoint_(&channel.endpoint()) {}
  Waitable(Topic& topic) noexcept;
  ipc::Endpoint* endpoint() const noexcept { return endpoint_; }  // null for a publisher's end

 private:
  ipc::Endpoint* endpoint_;
};

// As with channels: waits until one of them can be received from. invalid_argument also for a publisher's end.
[[nodiscard]] Result<std::size_t> wait_any(std::span<Topic* const> subscribers, Deadline,
                                           std::size_t* turn = nullptr);
// Channels and topics together: const Waitable both[] = {channel, topic};
[[nodiscard]] Result<std::size_t> wait_any(std::span<const Waitable>, Deadline,
                                           std::size_t* turn = nullptr);

struct ConnectedTopic {
  Topic publisher;
  std::vector<Topic> subscribers;
};

// All ends of a fresh topic without a supervisor, one subscriber for each of the options, for use in one
// process or across forks (each process then drops the ends that it does not use). Subscribers may differ
// in everything but max_message.
[[nodiscard]] Result<ConnectedTopic> connected_topic(Transport,
                                                     std::span<const TopicOptions> subscribers);
[[nodiscard]] Result<ConnectedTopic> connected_topic(Transport, const TopicOptions&,
                                                     std::size_t subscribers);

}  // namespace bulkhead
