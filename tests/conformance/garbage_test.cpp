// The other end writes bytes of its own making to the connection.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "ipc/end_page.hpp"
#include "ipc/framing.hpp"
#include "ipc/lane_producer.hpp"
#include "ipc/segment.hpp"
#include "tests/conformance/pair_test.hpp"
#include "tests/conformance/test_brain.hpp"

namespace bulkhead::test {
namespace {

using ipc::LinkUpdate;

// Our end is real; the other one is its bare descriptors.
class Garbage : public PairTest {
 protected:
  void open(ipc::PeerLife life, const ipc::Segment* pages = nullptr) {
    auto sockets = ipc::make_sockets(GetParam()).value();
    ipc::EndSpec spec;
    spec.link = "garbled";
    spec.peer_life = life;
    auto endpoint = ipc::open_endpoint(GetParam(), std::move(spec)).value();
    if (pages != nullptr) send_segment(*endpoint, *pages);
    endpoint->post({LinkUpdate::Kind::sockets, 1, std::move(sockets.from)});
    channel_.emplace(std::move(endpoint));
    raw_ = std::move(sockets.to);
  }
  static void send_segment(ipc::Endpoint& endpoint, const ipc::Segment& segment) {
    LinkUpdate update{LinkUpdate::Kind::peer_segment, segment.facts().epoch, {}};
    update.fds.push_back(base::duplicate(segment.fd()).value());
    endpoint.post(std::move(update));
  }
  void connect_again(std::uint16_t epoch) {
    auto sockets = ipc::make_sockets(GetParam()).value();
    channel_->endpoint().post({LinkUpdate::Kind::sockets, epoch, std::move(sockets.from)});
    raw_ = std::move(sockets.to);
  }
  void TearDown() override {
    channel_.reset();
    raw_.clear();
    PairTest::TearDown();
  }

  void write_raw(const Bytes& bytes) const {
    const int fd = raw_[GetParam() == Transport::pipe ? 1 : 0].get();
    ASSERT_EQ(::write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  // What the kernel holds for us, so that it takes more.
  void read_raw() const {
    Bytes bytes(std::size_t{1} << 20);
    pollfd readable{raw_.front().get(), POLLIN, 0};
    while (::poll(&readable, 1, 0) > 0 && ::read(readable.fd, bytes.data(), bytes.size()) > 0) {
    }
  }
  static Bytes frame(ipc::FrameHeader header, std::string_view payload) {
    const auto body = as_bytes(payload);
    Bytes bytes(sizeof header + body.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    std::copy(body.begin(), body.end(), bytes.begin() + sizeof header);
    if (GetParam() != Transport::unix_socket) bytes.push_back(ipc::frame_committed);
    return bytes;
  }
  static Bytes good_frame(std::uint64_t index, std::string_view payload, std::uint16_t epoch = 1) {
    return frame(ipc::make_frame_header(ipc::FrameKind::data, epoch, index,
                                        static_cast<std::uint32_t>(payload.size())),
                 payload);
  }

  std::optional<Channel> channel_;
  std::vector<base::UniqueFd> raw_;
};
BULKHEAD_OVER_WIRE_TRANSPORTS(Garbage);

TEST_P(Garbage, is_a_clear_error_that_loses_no_message_before_it) {
  open(ipc::PeerLife::single);
  write_raw(good_frame(1, "good"));
  write_raw(Bytes(64, std::byte{0xEE}));
  EXPECT_EQ(receive_text(*channel_), "good");
  EXPECT_EQ(receive_error(*channel_, soon()), text_of_code(Errc::protocol_violation));
  EXPECT_EQ(receive_error(*channel_, soon()), text_of_code(Errc::protocol_violation));
  EXPECT_EQ(channel_->stats().violations, 1U);
  const auto sent = channel_->send(as_bytes("x"), soon());
  EXPECT_TRUE(!sent && sent.error().is(Errc::protocol_violation));
}

TEST_P(Garbage, that_claims_a_huge_length_is_refused) {
  open(ipc::PeerLife::single);
  auto header = ipc::make_frame_header(ipc::FrameKind::data, 1, 1, 0xFFFFFF00);
  write_raw(frame(header, "x"));
  auto message = channel_->receive(soon());
  ASSERT_FALSE(message);
  EXPECT_TRUE(message.error().is(Errc::protocol_violation));
  EXPECT_NE(message.error().context.find("max_message"), std::string::npos);
}

TEST_P(Garbage, of_another_incarnation_is_refused) {
  open(ipc::PeerLife::single);
  write_raw(good_frame(1, "late", 9));
  EXPECT_EQ(receive_error(*channel_, soon()), text_of_code(Errc::protocol_violation));
}

TEST_P(Garbage, drops_the_connection_and_the_next_incarnation_is_heard) {
  open(ipc::PeerLife::replaced);
  write_raw(Bytes(64, std::byte{0xEE}));
  EXPECT_EQ(receive_error(*channel_, soon()), text_of_code(Errc::protocol_violation));
  EXPECT_EQ(receive_error(*channel_, briefly()), text_of_code(Errc::timed_out));
  connect_again(2);
  write_raw(good_frame(1, "sane", 2));
  EXPECT_EQ(receive_text(*channel_), "sane");
}

TEST_P(Garbage, half_a_frame_at_the_end_is_never_delivered) {
  open(ipc::PeerLife::replaced);
  write_raw(good_frame(1, "whole"));
  Bytes half = good_frame(2, std::string(5000, 'h'));
  if (GetParam() == Transport::unix_socket) {
    // A packet is whole; half a message is its first packet.
    ipc::FrameHeader header = ipc::make_frame_header(ipc::FrameKind::data, 1, 2, 5001);
    std::memcpy(half.data(), &header, sizeof header);
  } else {
    half.resize(half.size() / 2);
  }
  write_raw(half);
  raw_.clear();
  EXPECT_EQ(receive_text(*channel_), "whole");
  EXPECT_EQ(receive_error(*channel_, briefly()), text_of_code(Errc::timed_out));
  connect_again(2);
  write_raw(good_frame(2, "again, by the successor", 2));
  EXPECT_EQ(receive_text(*channel_), "again, by the successor");
  EXPECT_EQ(channel_->stats().violations, 0U);
}

TEST_P(Garbage, descriptors_of_the_wrong_kind_are_refused_and_counted) {
  open(ipc::PeerLife::replaced);
  std::vector<base::UniqueFd> wrong;
  wrong.push_back(base::make_memfd("no socket", false).value());
  channel_->endpoint().post({LinkUpdate::Kind::sockets, 2, std::move(wrong)});
  EXPECT_EQ(channel_->stats().violations, 1U);
  write_raw(good_frame(1, "the old connection still counts"));
  EXPECT_EQ(receive_text(*channel_), "the old connection still counts");
}

// The other end has a page and a window too, and every word of them is in the test's hands.
class GarbledPages : public Garbage {
 protected:
  void SetUp() override { open(ipc::PeerLife::replaced, &*peer_); }
  void TearDown() override {
    peer_.reset();
    Garbage::TearDown();
  }
  static ipc::Segment make_segment(std::uint16_t epoch) {
    return std::move(
        *ipc::Segment::create({.name = "garbled", .epoch = epoch, .ring_capacity = 4096}));
  }

  std::optional<ipc::Segment> peer_ = make_segment(1);
  ipc::LaneProducer lane_{peer_->ring(), peer_->page(), 0};
};
BULKHEAD_OVER_WIRE_TRANSPORTS(GarbledPages);

TEST_P(GarbledPages, a_frame_that_is_not_in_the_window_is_a_violation) {
  write_raw(good_frame(1, "never committed"));
  EXPECT_EQ(receive_error(*channel_, soon()), text_of_code(Errc::protocol_violation));
  EXPECT_EQ(receive_error(*channel_, briefly()), text_of_code(Errc::timed_out));
  EXPECT_EQ(channel_->stats().violations, 1U);
}

TEST_P(GarbledPages, a_frame_of_another_length_than_its_record_is_a_violation) {
  lane_.push(as_bytes("long"));
  peer_->page().in_step = 1;
  EXPECT_EQ(receive_text(*channel_), "long");  // nobody has looked before: from the window
  EXPECT_EQ(receive_error(*channel_, briefly()), text_of_code(Errc::timed_out));
  lane_.push(as_bytes("longer"));
  write_raw(good_frame(1, "long"));
  write_raw(good_frame(2, "short"));
  EXPECT_EQ(receive_error(*channel_, soon()), text_of_code(Errc::protocol_violation));
}

TEST_P(GarbledPages, a_frame_that_skips_one_is_a_violation) {
  for (const auto* text : {"1", "2", "3"}) lane_.push(as_bytes(text));
  write_raw(good_frame(3, "3"));
  EXPECT_EQ(receive_error(*channel_, soon()), text_of_code(Errc::protocol_violation));
}

TEST_P(GarbledPages, a_record_that_is_none_is_a_violation_and_what_came_before_it_is_delivered) {
  lane_.push(as_bytes("good"));
  ipc::record_head(peer_->ring().data(), lane_.position()).store(~std::uint64_t{0});
  EXPECT_EQ(receive_text(*channel_), "good");
  EXPECT_EQ(receive_error(*channel_, soon()), text_of_code(Errc::protocol_violation));
  EXPECT_EQ(receive_error(*channel_, briefly()), text_of_code(Errc::timed_out));
}

TEST_P(GarbledPages, a_frame_whose_message_was_taken_from_the_window_is_passed_over) {
  lane_.push(as_bytes("from the window"));
  EXPECT_EQ(receive_text(*channel_), "from the window");
  peer_->page().in_step = 1;
  lane_.push(as_bytes("from the connection"));
  write_raw(good_frame(1, "from the window"));
  write_raw(good_frame(2, "from the connection"));
  EXPECT_EQ(receive_text(*channel_), "from the connection");
  EXPECT_EQ(channel_->stats().violations, 0U);
}

TEST_P(GarbledPages, an_impossible_acknowledgement_ends_sending_until_the_next_incarnation) {
  store_acknowledged(peer_->page(), {{1, 32}, 1});  // inside a record
  Result<void> sent;
  while ((sent = channel_->send(Bytes(60'000), soon()))) {  // until it needs the room
    read_raw();
  }
  EXPECT_TRUE(sent.error().is(Errc::protocol_violation)) << sent.error().to_string();
  EXPECT_EQ(channel_->stats().violations, 1U);
  peer_ = make_segment(2);
  send_segment(channel_->endpoint(), *peer_);
  sent = channel_->try_send(Bytes(60'000));
  EXPECT_TRUE(!sent && sent.error().is(Errc::would_block))
      << "it acknowledges nothing, but is honest";
}

}  // namespace
}  // namespace bulkhead::test
