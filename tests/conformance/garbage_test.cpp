// The other end writes bytes of its own making to the connection.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "ipc/framing.hpp"
#include "tests/conformance/pair_test.hpp"
#include "tests/conformance/test_brain.hpp"

namespace bulkhead::test {
namespace {

using ipc::LinkUpdate;

// Our end is real; the other one is its bare descriptors.
class Garbage : public PairTest {
 protected:
  void open(ipc::PeerLife life) {
    auto sockets = ipc::make_sockets(GetParam()).value();
    ipc::EndSpec spec;
    spec.link = "garbled";
    spec.peer_life = life;
    auto endpoint = ipc::open_endpoint(GetParam(), std::move(spec)).value();
    endpoint->post({LinkUpdate::Kind::sockets, 1, std::move(sockets.from)});
    channel_.emplace(std::move(endpoint));
    raw_ = std::move(sockets.to);
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
    ASSERT_EQ(::write(raw_.back().get(), bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
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

}  // namespace
}  // namespace bulkhead::test
