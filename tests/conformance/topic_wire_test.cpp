// What the connections of a topic carry, what the lane carries where they do not, and what a peer may do to either. One
// end of each pair is played by hand.
#include <gtest/gtest.h>
#include <poll.h>

#include <bulkhead/topic.hpp>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "ipc/endpoint.hpp"
#include "ipc/frame_writer.hpp"
#include "ipc/segment.hpp"
#include "ipc/socket_connection.hpp"
#include "tests/conformance/transports.hpp"
#include "tests/support/topic_stage.hpp"

namespace bulkhead::test {
namespace {

using ipc::LinkUpdate;
using ipc::Side;

Deadline soon() { return Deadline::in(std::chrono::seconds(30)); }

TopicOptions with(Overflow overflow, std::size_t capacity = 4096, std::size_t max_message = 1024) {
  TopicOptions options{.capacity = capacity, .max_message = max_message, .policy = {overflow, 0}};
  options.wait = WaitMode::block;
  return options;
}
std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}
std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
std::string next(Topic& topic) {
  const auto message = topic.receive(soon());
  return message ? text_of(message->bytes()) : message.error().code.message();
}
std::string text_of(Errc code) { return make_error_code(code).message(); }

LinkUpdate sockets(std::uint16_t epoch, std::vector<base::UniqueFd> fds) {
  LinkUpdate update{LinkUpdate::Kind::sockets, epoch, {}};
  update.fds = std::move(fds);
  return update;
}
LinkUpdate segment_of(const ipc::Segment& segment, std::uint16_t epoch) {
  LinkUpdate update{LinkUpdate::Kind::peer_segment, epoch, {}};
  update.fds.push_back(base::duplicate(segment.fd()).value());
  return update;
}

// The wire of one end of a connection, for who plays it.
std::unique_ptr<ipc::Wire> wire_of(Transport transport, std::vector<base::UniqueFd> fds) {
  fds.resize(ipc::descriptors_of(transport));
  return ipc::open_wire(transport, std::move(fds), ChannelOptions{}).value();
}

class TopicWire : public testing::TestWithParam<Transport> {};

// A publisher that is played by hand: what it commits and what it sends are two things.
class PlayedPublisher : public TopicWire {
 protected:
  void start(Overflow overflow = Overflow::drop_oldest) {
    stage.emplace(GetParam(), std::vector{with(overflow)});
    subscriber.emplace(stage->start_subscriber(0));
    incarnate(1);
  }
  void incarnate(std::uint16_t epoch) {
    segment.emplace(
        ipc::Segment::create({.name = "played", .epoch = epoch, .ring_capacity = 4096}).value());
    lane.emplace(segment->ring(), segment->page(), ipc::TopicProducer::Overtake::yes, 0, 0);
    stage->post(0, Side::to, segment_of(*segment, epoch));
    connect(epoch);
  }
  void connect(std::uint16_t epoch) {
    auto ends = ipc::make_sockets(GetParam()).value();
    stage->post(0, Side::to, sockets(epoch, std::move(ends.to)));
    wire = wire_of(GetParam(), std::move(ends.from));
    writer = {};
    number_of_epoch = epoch;
  }
  void commit(const std::string& text) { ASSERT_TRUE(lane->push(as_bytes(text))); }
  void send(std::uint64_t number, const std::string& text) {
    const auto header = ipc::make_frame_header(ipc::FrameKind::data, number_of_epoch, number,
                                               static_cast<std::uint32_t>(text.size()));
    ASSERT_EQ(writer.write(*wire, header, as_bytes(text)), ipc::WriteStatus::done);
  }
  void say_in_step(std::uint16_t with_whom) {
    // relaxed: one thread plays both.
    segment->page().in_step.store(with_whom, std::memory_order_relaxed);
  }
  void expect_violation_until_the_next_incarnation() {
    EXPECT_EQ(next(*subscriber), text_of(Errc::protocol_violation));
    EXPECT_EQ(next(*subscriber), text_of(Errc::protocol_violation));
    EXPECT_EQ(subscriber->stats().violations, 1U);
    stage->post(0, Side::to, {LinkUpdate::Kind::peer_died, 1, {}});
    incarnate(2);
    commit("sound");
    send(1, "sound");
    EXPECT_EQ(next(*subscriber), "sound");
  }

  std::optional<TopicStage> stage;
  std::optional<Topic> subscriber;
  std::optional<ipc::Segment> segment;
  std::optional<ipc::TopicProducer> lane;
  std::unique_ptr<ipc::Wire> wire;
  ipc::FrameWriter writer;
  std::uint16_t number_of_epoch = 1;
};

TEST_P(PlayedPublisher, is_heard_over_the_connection_where_that_brings_the_bytes) {
  start();
  commit("in the lane");
  send(1, "on the wire");
  EXPECT_EQ(next(*subscriber), "on the wire");
}

TEST_P(PlayedPublisher, is_read_in_its_lane_where_no_connection_brings_the_bytes) {
  start();
  commit("before the connection was used");
  commit("in the lane");
  send(2, "on the wire");
  EXPECT_EQ(next(*subscriber), "before the connection was used");
  EXPECT_EQ(next(*subscriber), "on the wire");
  say_in_step(0);
  commit("refused by the kernel");
  EXPECT_EQ(next(*subscriber), "refused by the kernel");
  send(3, "refused by the kernel");  // when it has room again
  commit("in the lane");
  send(4, "on the wire");
  EXPECT_EQ(next(*subscriber), "on the wire");
}

// As inside the publish() of a message that needs the room of all others.
TEST_P(PlayedPublisher, may_overwrite_a_message_whose_frame_is_under_way) {
  start();
  commit("sent and overwritten");
  send(1, "sent and overwritten");
  // relaxed: one thread plays both.
  segment->page().reclaimed.store(lane->position(), std::memory_order_relaxed);
  EXPECT_TRUE(subscriber->receive(Deadline::now()).error().is(Errc::would_block));
  commit("next");
  send(2, "next");
  const auto message = subscriber->receive(soon());
  ASSERT_TRUE(message) << message.error().to_string();
  EXPECT_EQ(text_of(message->bytes()), "next");
  EXPECT_EQ(message->gap(), 1U);
  EXPECT_EQ(subscriber->stats().violations, 0U);
}

TEST_P(PlayedPublisher, is_waited_for_where_it_says_that_the_connection_brings_all) {
  start();
  commit("a");
  send(1, "a");
  say_in_step(1);
  EXPECT_EQ(next(*subscriber), "a");
  commit("in the lane");
  EXPECT_TRUE(subscriber->receive(Deadline::now()).error().is(Errc::would_block));
  std::thread late([this] { send(2, "on the wire"); });
  EXPECT_EQ(next(*subscriber), "on the wire");
  late.join();
  EXPECT_EQ(subscriber->stats().safety_net, 0U);
}

TEST_P(PlayedPublisher, is_read_in_its_lane_when_it_is_dead) {
  start();
  commit("a");
  send(1, "a");
  say_in_step(1);
  EXPECT_EQ(next(*subscriber), "a");
  commit("committed, and no more");
  stage->post(0, Side::to, {LinkUpdate::Kind::peer_died, 1, {}});
  EXPECT_EQ(next(*subscriber), "committed, and no more");
}

// A connection may break without a death, as when the system is short of memory.
TEST_P(PlayedPublisher, is_read_in_its_lane_without_a_connection_and_heard_over_the_next) {
  start();
  commit("a");
  send(1, "a");
  say_in_step(1);
  EXPECT_EQ(next(*subscriber), "a");
  wire.reset();
  commit("without a connection");
  EXPECT_EQ(next(*subscriber), "without a connection");
  connect(1);
  commit("in the lane");
  send(3, "on the wire");
  EXPECT_EQ(next(*subscriber), "on the wire");
}

TEST_P(PlayedPublisher, that_sends_late_what_was_taken_from_its_lane_disturbs_nobody) {
  start();
  std::uint64_t number = 0;
  while (number < 6000) {
    commit("lane");
    ++number;
    ASSERT_EQ(next(*subscriber), "lane");
  }
  auto status = ipc::WriteStatus::done;
  for (std::uint64_t late = 1; late <= number && status == ipc::WriteStatus::done; ++late) {
    const auto header = ipc::make_frame_header(ipc::FrameKind::data, 1, late, 4);
    status = writer.write(*wire, header, as_bytes("lane"));
  }
  EXPECT_TRUE(subscriber->receive(Deadline::now()).error().is(Errc::would_block));
  commit("last");
  EXPECT_EQ(next(*subscriber), "last");
  EXPECT_EQ(subscriber->stats().violations, 0U);
}

TEST_P(PlayedPublisher, that_overwrote_what_it_sent_is_heard_of_what_is_left) {
  start();
  for (std::uint64_t number = 1; number <= 200; ++number) {
    commit(std::to_string(number));
    send(number, std::to_string(number));
  }
  const auto message = subscriber->receive(soon());
  ASSERT_TRUE(message);
  EXPECT_EQ(message->gap() + 1, message->index());
  EXPECT_GE(message->index(), 200U - 64U);
}

TEST_P(PlayedPublisher, that_sends_bytes_of_no_frame_is_a_violation) {
  start();
  commit("a");
  std::string garbage(100, '\x5a');
  iovec part{garbage.data(), garbage.size()};
  ASSERT_EQ(wire->write({&part, 1}).error, 0);
  expect_violation_until_the_next_incarnation();
}

TEST_P(PlayedPublisher, that_sends_what_its_lane_has_not_is_a_violation) {
  start();
  send(1, "out of nowhere");
  expect_violation_until_the_next_incarnation();
}

TEST_P(PlayedPublisher, that_sends_a_message_of_another_length_is_a_violation) {
  start();
  commit("four");
  send(1, "seventeen");
  expect_violation_until_the_next_incarnation();
}

TEST_P(PlayedPublisher, that_gives_a_number_twice_is_a_violation) {
  start();
  commit("a");
  send(1, "a");
  EXPECT_EQ(next(*subscriber), "a");
  send(1, "a");
  expect_violation_until_the_next_incarnation();
}

// A subscriber that is played by hand sees what its publisher gives to the kernel.
class PlayedSubscriber : public TopicWire {
 protected:
  void start(const TopicOptions& options) {
    stage.emplace(GetParam(), std::vector{options});
    publisher.emplace(stage->start_publisher());
    page.emplace(ipc::Segment::create({.name = "played", .epoch = 1}).value());
    stage->post(0, Side::from, segment_of(*page, 1));
    auto ends = ipc::make_sockets(GetParam()).value();
    stage->post(0, Side::from, sockets(1, std::move(ends.from)));
    wire = wire_of(GetParam(), std::move(ends.to));
    reader = ipc::make_frame_reader(*wire, {options.max_message, 1, 0, true}, pool);
  }
  void publish(const std::string& text) {
    const auto done = publisher->publish(as_bytes(text), soon());
    ASSERT_TRUE(done) << done.error().to_string();
  }
  // "7: text"; "" when nothing comes.
  std::string next_frame(Deadline deadline) {
    for (;;) {
      ipc::Incoming frame;
      const auto status = reader->next(*wire, frame);
      if (status == ipc::ReadStatus::message) {
        return std::to_string(frame.index) + ": " +
               text_of({frame.buffer.memory.get(), frame.bytes});
      }
      if (status != ipc::ReadStatus::nothing) return "the end";
      pollfd entry{wire->read_fd(), POLLIN, 0};
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
      if (::poll(&entry, 1, static_cast<int>(left.count())) != 1) return "";
    }
  }

  std::optional<TopicStage> stage;
  std::optional<Topic> publisher;
  std::optional<ipc::Segment> page;
  std::unique_ptr<ipc::Wire> wire;
  ipc::BufferPool pool;
  std::unique_ptr<ipc::FrameReader> reader;
};

TEST_P(PlayedSubscriber, is_sent_every_message_that_the_kernel_takes) {
  for (const auto overflow :
       {Overflow::block, Overflow::drop_oldest, Overflow::drop_newest, Overflow::conflate}) {
    start(with(overflow));
    for (const char* text : {"one", "two", "three"}) publish(text);
    EXPECT_EQ(next_frame(soon()), "1: one");
    EXPECT_EQ(next_frame(soon()), "2: two");
    EXPECT_EQ(next_frame(soon()), "3: three");
  }
}

TEST_P(PlayedSubscriber, is_sent_no_frame_of_what_was_dropped) {
  start(with(Overflow::drop_newest));
  for (int number = 1; number <= 66; ++number) {
    publish(std::to_string(number));
    if (number > 63) continue;  // the lane is full: 63 records, and a line whose head is 0
    ASSERT_EQ(next_frame(soon()), std::to_string(number) + ": " + std::to_string(number));
  }
  ipc::store_acknowledged(page->page(), {{1, 64}, 1});
  publish("67");
  EXPECT_EQ(next_frame(soon()), "67: 67");
}

TEST_P(PlayedSubscriber, that_does_not_read_delays_nobody_and_finds_whole_frames) {
  constexpr std::size_t size = 200'000;
  start(with(Overflow::drop_oldest, std::size_t{1} << 20, size));
  for (int number = 1; number <= 100; ++number) {
    publish(std::string(size, static_cast<char>('a' + number % 26)));
  }
  // What it read was begun before the kernel was full, and is finished with the next message.
  std::uint64_t frames = 0;
  for (std::string text; publisher->last_published() < 110;) {
    while (!(text = next_frame(Deadline::now())).empty()) {
      const auto colon = text.find(": ");
      ASSERT_NE(colon, text.npos) << text;
      const auto number = std::stoull(text.substr(0, colon));
      const std::string body = text.substr(colon + 2);
      EXPECT_TRUE(body == std::string(size, static_cast<char>('a' + number % 26))) << number;
      ++frames;
    }
    const auto number = publisher->last_published() + 1;
    publish(std::string(size, static_cast<char>('a' + number % 26)));
  }
  EXPECT_GT(frames, 0U);
}

TEST_P(PlayedSubscriber, that_is_gone_is_read_no_more_and_missed_by_nobody) {
  start(with(Overflow::drop_oldest));
  publish("one");
  wire.reset();
  for (int number = 0; number < 100; ++number) publish("more");
  EXPECT_EQ(publisher->stats().violations, 0U);
}

// What the kernel refused reaches a subscriber although nobody calls its publisher again.
class RefusedTopic : public TopicWire {};

TEST_P(RefusedTopic, comes_to_an_idle_subscriber_from_the_lane) {
  constexpr std::size_t size = 60'000, capacity = std::size_t{8} << 20;
  for (const auto overflow : {Overflow::block, Overflow::drop_oldest, Overflow::drop_newest}) {
    SCOPED_TRACE(to_string(overflow));
    auto topic = connected_topic(GetParam(), with(overflow, capacity, size), 2);
    ASSERT_TRUE(topic) << topic.error().to_string();
    const std::vector<std::byte> bytes(size, std::byte{7});
    while (topic->publisher.last_published() < 120) {
      ASSERT_TRUE(topic->publisher.try_publish(bytes));
    }
    for (Topic& subscriber : topic->subscribers) {
      for (std::uint64_t number = 1; number <= 120; ++number) {
        const auto message = subscriber.receive(soon());
        ASSERT_TRUE(message) << message.error().to_string();
        ASSERT_EQ(message->index(), number);
        ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), message->bytes().begin()));
      }
      EXPECT_EQ(subscriber.stats().safety_net, 0U);
    }
  }
}

// Every other message finds the buffers full, and the readers asleep.
TEST_P(RefusedTopic, wakes_a_subscriber_whoever_brings_the_message) {
  constexpr std::size_t size = 60'000;
  for (const auto overflow : {Overflow::block, Overflow::drop_oldest, Overflow::conflate}) {
    SCOPED_TRACE(to_string(overflow));
    auto topic = connected_topic(GetParam(), with(overflow, std::size_t{1} << 20, size), 1);
    ASSERT_TRUE(topic) << topic.error().to_string();
    std::thread reader([&subscriber = topic->subscribers[0]] {
      std::uint64_t accounted = 0;
      while (auto message = subscriber.receive(soon())) {
        accounted += 1 + message->gap();
        ASSERT_EQ(message->index(), accounted);
        std::uint64_t number = 0;
        std::memcpy(&number, message->bytes().data() + message->bytes().size() - sizeof number,
                    sizeof number);
        ASSERT_EQ(number, accounted);
      }
      EXPECT_EQ(accounted, 1000U);
      EXPECT_EQ(subscriber.stats().safety_net, 0U);
    });
    std::vector<std::byte> bytes(size);
    for (std::uint64_t number = 1; number <= 1000; ++number) {
      std::memcpy(bytes.data() + size - sizeof number, &number, sizeof number);
      ASSERT_TRUE(topic->publisher.publish(bytes, soon()));
    }
    topic->publisher.close();
    reader.join();
  }
}

// Both ends live; who brings the connection comes late, or again.
class TopicConnection : public TopicWire {};

TEST_P(TopicConnection, may_come_after_messages_and_lose_none) {
  TopicStage stage(GetParam(), {with(Overflow::block)});
  stage.connects = false;
  Topic publisher = stage.start_publisher(), subscriber = stage.start_subscriber(0);
  for (std::uint64_t number = 1; number <= 9; ++number) {
    if (number == 4 || number == 7) stage.connect(0);
    ASSERT_TRUE(publisher.publish(as_bytes(std::to_string(number)), soon()));
    if (number % 2 == 0) continue;
    while (publisher.last_published() != 0) {
      const auto message = subscriber.receive(soon());
      ASSERT_TRUE(message) << message.error().to_string();
      ASSERT_EQ(message->gap(), 0U);
      if (message->index() == number) break;
    }
  }
}

TEST_P(TopicConnection, that_comes_to_sleeping_ends_wakes_them) {
  TopicStage stage(GetParam(), {with(Overflow::block)});
  stage.connects = false;
  Topic publisher = stage.start_publisher(), subscriber = stage.start_subscriber(0);
  std::thread reader([&] {
    for (int number = 1; number <= 300; ++number)
      EXPECT_EQ(next(subscriber), std::to_string(number));
  });
  for (std::uint64_t number = 1; number <= 300; ++number) {
    if (number == 100) stage.connect(0);
    EXPECT_TRUE(publisher.publish(as_bytes(std::to_string(number)), soon()));
  }
  reader.join();
  EXPECT_EQ(subscriber.stats().safety_net, 0U);
}

TEST_P(TopicConnection, that_is_none_is_a_violation_and_changes_nothing) {
  TopicStage stage(GetParam(), {with(Overflow::block)});
  Topic publisher = stage.start_publisher(), subscriber = stage.start_subscriber(0);
  stage.post(0, Side::to, sockets(2, {}));
  EXPECT_TRUE(publisher.publish(as_bytes("a"), soon()));
  EXPECT_EQ(next(subscriber), "a");
  EXPECT_EQ(subscriber.stats().violations, 1U);
}

BULKHEAD_OVER_WIRE_TRANSPORTS(PlayedPublisher);
BULKHEAD_OVER_WIRE_TRANSPORTS(PlayedSubscriber);
BULKHEAD_OVER_WIRE_TRANSPORTS(RefusedTopic);
BULKHEAD_OVER_WIRE_TRANSPORTS(TopicConnection);

}  // namespace
}  // namespace bulkhead::test
