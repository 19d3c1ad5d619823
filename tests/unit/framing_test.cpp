// Frames as bytes: what the header check refuses, how the reader puts pieces together, and what the
// writer does when the wire takes only part of a message. The wire is a script, so that every cut can
// be tried.
#include "ipc/framing.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "ipc/frame_reader.hpp"
#include "ipc/frame_writer.hpp"

namespace bulkhead::ipc {
namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes_of(std::string_view text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

// Keeps what is written, and takes at most `room` bytes; reads come from `incoming`, one entry a
// call, and then say `at_end`.
class ScriptedWire final : public Wire {
 public:
  explicit ScriptedWire(bool packets) : packets_(packets) {}

  bool keeps_packets() const noexcept override { return packets_; }
  IoStatus read(std::span<iovec> parts) noexcept override {
    if (first_error != 0) return {0, std::exchange(first_error, 0)};
    if (incoming.empty()) return {0, at_end};
    Bytes& next = incoming.front();
    std::size_t copied = 0;
    for (const iovec& part : parts) {
      const std::size_t n = std::min(part.iov_len, next.size() - copied);
      if (n > 0) std::memcpy(part.iov_base, next.data() + copied, n);
      copied += n;
    }
    const bool truncated = copied < next.size();
    if (packets_ || !truncated) {
      incoming.pop_front();
    } else {
      next.erase(next.begin(), next.begin() + static_cast<std::ptrdiff_t>(copied));
    }
    return {copied, 0, packets_ && truncated};
  }
  IoStatus write(std::span<iovec> parts) noexcept override {
    std::size_t total = 0;
    for (const iovec& part : parts) total += part.iov_len;
    if (room == 0 || (packets_ && total > room)) return {0, EAGAIN};
    Bytes taken;
    for (const iovec& part : parts) {
      const std::size_t n = std::min(part.iov_len, room);
      const auto* from = static_cast<const std::byte*>(part.iov_base);
      taken.insert(taken.end(), from, from + n);
      room -= n;
    }
    const std::size_t n = taken.size();
    written.push_back(std::move(taken));
    return {n, 0};
  }
  int read_fd() const noexcept override { return -1; }
  int write_fd() const noexcept override { return -1; }
  bool hung_up() const noexcept override { return false; }
  void make_room(std::size_t) noexcept override {}
  std::chrono::milliseconds settle_time() const noexcept override { return {}; }

  // As the other end would read it: packets one by one, a stream as one piece.
  void loop_back() {
    if (packets_) {
      for (auto& packet : written) incoming.push_back(std::move(packet));
    } else {
      Bytes all;
      for (const auto& piece : written) all.insert(all.end(), piece.begin(), piece.end());
      if (!all.empty()) incoming.push_back(std::move(all));
    }
    written.clear();
  }

  std::size_t room = std::size_t{1} << 30;
  std::deque<Bytes> incoming;
  std::vector<Bytes> written;
  int at_end = EAGAIN, first_error = 0;

 private:
  bool packets_;
};

constexpr std::size_t max_message = 200'000;
constexpr FrameExpectation expectation{max_message, 7, 0};

FrameHeader data_header(std::uint64_t index, std::size_t total) {
  return make_frame_header(FrameKind::data, 7, index, static_cast<std::uint32_t>(total));
}

Result<FrameHeader> parse(const FrameHeader& header, FrameExpectation expected = expectation) {
  std::array<std::byte, frame_header_bytes> raw;
  std::memcpy(raw.data(), &header, sizeof header);
  return parse_frame_header(raw, expected);
}

TEST(FrameHeader, accepts_what_it_makes) {
  const auto header = parse(data_header(1, max_message));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->total, max_message);
  EXPECT_TRUE(parse(make_frame_header(FrameKind::close, 7, 0, 0)));
}

TEST(FrameHeader, refuses_each_field_that_breaks_a_rule) {
  const auto refuses = [](auto change, FrameExpectation expected = expectation) {
    FrameHeader header = data_header(5, 10);
    change(header);
    const auto result = parse(header, expected);
    return !result && result.error().is(Errc::protocol_violation);
  };
  EXPECT_TRUE(refuses([](FrameHeader& h) { h.magic ^= 1; }));
  EXPECT_TRUE(refuses([](FrameHeader& h) { h.zero = 1; }));
  EXPECT_TRUE(refuses([](FrameHeader& h) { h.kind = static_cast<FrameKind>(9); }));
  EXPECT_TRUE(refuses([](FrameHeader& h) { h.kind = FrameKind::close; }));  // with a length
  EXPECT_TRUE(refuses([](FrameHeader& h) { h.total = max_message + 1; }));
  EXPECT_TRUE(refuses([](FrameHeader& h) { h.offset = h.total + 1; }));
  EXPECT_TRUE(refuses([](FrameHeader& h) { h.epoch = 8; }));
  EXPECT_TRUE(refuses([](FrameHeader& h) { h.index = 0; }));
  EXPECT_TRUE(refuses([](FrameHeader&) {}, {max_message, 7, 6}));
  EXPECT_FALSE(refuses([](FrameHeader&) {}, {max_message, 7, 5}));
  EXPECT_TRUE(refuses([](FrameHeader&) {}, {max_message, 7, 6, true}));
  EXPECT_FALSE(refuses([](FrameHeader&) {}, {max_message, 7, 4, true}));
}

class Framing : public testing::TestWithParam<bool> {
 protected:
  WriteStatus write(std::uint64_t index, const Bytes& payload) {
    return writer.write(wire, data_header(index, payload.size()), payload);
  }
  // Every message that can be read now, as text; `status` keeps why the reader stopped.
  std::vector<std::string> read_all() {
    std::vector<std::string> texts;
    Incoming message;
    while ((status = reader->next(wire, message)) == ReadStatus::message) {
      texts.emplace_back(reinterpret_cast<const char*>(message.buffer.memory.get()), message.bytes);
      last_index = message.index;
      pool.put(std::move(message.buffer));
    }
    return texts;
  }

  ScriptedWire wire{GetParam()};
  BufferPool pool;
  FrameWriter writer;
  std::unique_ptr<FrameReader> reader = make_frame_reader(wire, expectation, pool);
  ReadStatus status = ReadStatus::nothing;
  std::uint64_t last_index = 0;
};

INSTANTIATE_TEST_SUITE_P(, Framing, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "packets" : "stream"; });

TEST_P(Framing, carries_empty_small_and_largest_messages_in_order) {
  const std::string huge(max_message, 'x'), small = "small", middle(4097, 'm');
  std::uint64_t index = 0;
  for (const auto& text : {std::string(), small, huge, middle, std::string()}) {
    EXPECT_EQ(write(++index, bytes_of(text)), WriteStatus::done);
  }
  wire.loop_back();
  EXPECT_EQ(read_all(), (std::vector<std::string>{"", small, huge, middle, ""}));
  EXPECT_EQ(status, ReadStatus::nothing);
  EXPECT_EQ(last_index, 5U);
}

TEST_P(Framing, delivers_a_message_only_when_its_last_byte_is_there) {
  const std::string text(150'000, 'y');
  ASSERT_EQ(write(1, bytes_of(text)), WriteStatus::done);
  wire.loop_back();
  auto pieces = std::exchange(wire.incoming, {});
  Bytes last = std::move(pieces.back());
  pieces.pop_back();
  if (!GetParam()) {
    pieces.push_back({last.begin(), last.end() - 1});
    last = {last.end() - 1, last.end()};
  }
  wire.incoming = std::move(pieces);
  EXPECT_TRUE(read_all().empty());
  EXPECT_EQ(status, ReadStatus::nothing);
  wire.incoming.push_back(std::move(last));
  EXPECT_EQ(read_all(), std::vector<std::string>{text});
}

TEST_P(Framing, goes_on_where_it_stopped_when_the_same_message_is_tried_again) {
  const std::string text(150'000, 'z');
  std::size_t tries = 0;
  for (WriteStatus written = WriteStatus::blocked; written != WriteStatus::done; ++tries) {
    wire.room = packet_payload_max + frame_header_bytes;
    written = write(1, bytes_of(text));
    if (written == WriteStatus::blocked) writer.suspend(bytes_of(text));
    ASSERT_LT(tries, 4U);
  }
  EXPECT_GT(tries, 1U);
  wire.loop_back();
  EXPECT_EQ(read_all(), std::vector<std::string>{text});
}

TEST_P(Framing, a_suspended_message_is_never_delivered_when_another_follows) {
  const std::string given_up(150'000, 'g');
  for (const std::size_t room : {std::size_t{1}, frame_header_bytes, frame_header_bytes + 1,
                                 std::size_t{100'000}, frame_header_bytes + given_up.size()}) {
    wire.room = room;
    ASSERT_EQ(write(last_index + 1, bytes_of(given_up)), WriteStatus::blocked);
    writer.suspend(bytes_of(given_up));
    wire.room = std::size_t{1} << 30;
    ASSERT_EQ(write(last_index + 1, bytes_of("the next")), WriteStatus::done);
    wire.loop_back();
    EXPECT_EQ(read_all(), std::vector<std::string>{"the next"}) << "cut after " << room;
  }
}

TEST_P(Framing, a_suspended_message_is_finished_from_its_copy) {
  const std::string text(150'000, 'u');
  for (const std::size_t room : {std::size_t{1}, frame_header_bytes, std::size_t{100'000}}) {
    wire.room = room;
    Bytes gone = bytes_of(text);
    ASSERT_EQ(write(last_index + 1, gone), WriteStatus::blocked);
    writer.suspend(gone);
    gone.assign(gone.size(), std::byte{});
    EXPECT_EQ(writer.has_copy(), !wire.written.empty()) << "what nobody has seen needs no end";
    const bool begun = writer.has_copy();
    if (begun) {
      EXPECT_EQ(writer.finish(wire), WriteStatus::blocked);
    }
    wire.room = std::size_t{1} << 30;
    EXPECT_EQ(writer.finish(wire), WriteStatus::done);
    EXPECT_EQ(writer.finish(wire), WriteStatus::done) << "there is nothing to do";
    wire.loop_back();
    EXPECT_EQ(read_all(), begun ? std::vector<std::string>{text} : std::vector<std::string>{});
  }
}

TEST_P(Framing, a_message_may_skip_numbers_where_they_have_gaps) {
  reader = make_frame_reader(wire, {max_message, 7, 0, true}, pool);
  for (const std::uint64_t number : {3, 4, 9}) {
    ASSERT_EQ(write(number, bytes_of("on")), WriteStatus::done);
  }
  ASSERT_EQ(write(9, bytes_of("again")), WriteStatus::done);
  wire.loop_back();
  EXPECT_EQ(read_all().size(), 3U);
  EXPECT_EQ(status, ReadStatus::violated);
}

TEST_P(Framing, reads_the_same_messages_whatever_comes_at_once) {
  const std::vector<std::string> texts{"one", "", "three"};
  for (std::uint64_t i = 0; i < texts.size(); ++i) {
    ASSERT_EQ(write(i + 1, bytes_of(texts[i])), WriteStatus::done);
  }
  wire.loop_back();
  std::vector<Bytes> units;  // packets are whole; a stream may be cut anywhere
  for (const Bytes& piece : std::exchange(wire.incoming, {})) {
    if (GetParam()) units.push_back(piece);
    for (std::size_t i = 0; !GetParam() && i < piece.size(); ++i) units.push_back({piece[i]});
  }
  for (std::size_t cut = 0; cut <= units.size(); ++cut) {
    reader = make_frame_reader(wire, expectation, pool);
    std::vector<std::string> found;
    for (std::size_t i = 0; i < units.size(); ++i) {
      wire.written.push_back(units[i]);
      if (i + 1 != cut && i + 1 != units.size()) continue;
      wire.loop_back();
      for (auto& text : read_all()) found.push_back(std::move(text));
    }
    EXPECT_EQ(found, texts) << "cut after " << cut;
  }
}

TEST_P(Framing, garbage_after_good_messages_is_a_violation_and_loses_none_of_them) {
  ASSERT_EQ(write(1, bytes_of("good")), WriteStatus::done);
  wire.loop_back();
  wire.incoming.push_back(Bytes(100, std::byte{0x5A}));
  EXPECT_EQ(read_all(), std::vector<std::string>{"good"});
  EXPECT_EQ(status, ReadStatus::violated);
  EXPECT_TRUE(reader->fault().is(Errc::protocol_violation));
}

TEST_P(Framing, a_message_that_skips_a_number_is_a_violation) {
  ASSERT_EQ(write(4, bytes_of("first")), WriteStatus::done);
  ASSERT_EQ(write(6, bytes_of("third")), WriteStatus::done);
  wire.loop_back();
  EXPECT_EQ(read_all(), std::vector<std::string>{"first"});
  EXPECT_EQ(status, ReadStatus::violated);
}

TEST_P(Framing, a_length_over_the_limit_is_refused_before_memory_is_taken_for_it) {
  Bytes raw(frame_header_bytes);
  const FrameHeader header = data_header(1, 0xFFFFFFF0);
  std::memcpy(raw.data(), &header, sizeof header);
  wire.incoming.push_back(raw);
  EXPECT_TRUE(read_all().empty());
  EXPECT_EQ(status, ReadStatus::violated);
}

TEST_P(Framing, reads_on_after_a_reset_and_ends_at_the_second) {
  wire.first_error = wire.at_end = ECONNRESET;
  ASSERT_EQ(write(1, bytes_of("queued behind the reset")), WriteStatus::done);
  wire.loop_back();
  EXPECT_EQ(read_all(), std::vector<std::string>{"queued behind the reset"});
  EXPECT_EQ(status, ReadStatus::ended);
}

TEST_P(Framing, an_unfinished_message_at_the_end_is_void) {
  ASSERT_EQ(write(1, bytes_of(std::string(100'000, 'u'))), WriteStatus::done);
  if (GetParam()) {
    wire.written.pop_back();
  } else {
    wire.written.back().pop_back();
  }
  wire.loop_back();
  wire.at_end = 0;
  EXPECT_TRUE(read_all().empty());
  EXPECT_EQ(status, ReadStatus::ended);
}

TEST_P(Framing, says_when_the_sender_said_goodbye) {
  ASSERT_EQ(write(1, bytes_of("last")), WriteStatus::done);
  ASSERT_EQ(writer.write(wire, make_frame_header(FrameKind::close, 7, 1, 0), {}),
            WriteStatus::done);
  wire.loop_back();
  EXPECT_EQ(read_all(), std::vector<std::string>{"last"});
  EXPECT_EQ(status, ReadStatus::closed);
}

TEST(PacketFraming, a_piece_out_of_place_is_a_violation) {
  ScriptedWire wire(true);
  BufferPool pool;
  const auto reader = make_frame_reader(wire, expectation, pool);
  Bytes raw(frame_header_bytes + 10);
  FrameHeader header = data_header(1, 20);
  header.offset = 10;
  std::memcpy(raw.data(), &header, sizeof header);
  wire.incoming.push_back(raw);
  Incoming message;
  EXPECT_EQ(reader->next(wire, message), ReadStatus::violated);
}

TEST(PacketFraming, a_packet_longer_than_its_message_is_a_violation) {
  ScriptedWire wire(true);
  BufferPool pool;
  const auto reader = make_frame_reader(wire, expectation, pool);
  Bytes raw(frame_header_bytes + 10);
  const FrameHeader header = data_header(1, 9);
  std::memcpy(raw.data(), &header, sizeof header);
  wire.incoming.push_back(raw);
  Incoming message;
  EXPECT_EQ(reader->next(wire, message), ReadStatus::violated);
}

TEST(BufferPool, gives_back_what_it_was_given) {
  BufferPool pool;
  Buffer first = pool.take(1000);
  ASSERT_NE(first.memory, nullptr);
  EXPECT_GE(first.capacity, 1000U);
  const std::byte* const address = first.memory.get();
  pool.put(std::move(first));
  EXPECT_EQ(pool.take(900).memory.get(), address);
}

}  // namespace
}  // namespace bulkhead::ipc
