// Control packets between honest ends, and from a peer that sends whatever a kernel lets it send.
#include "ipc/control_packet.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <random>
#include <string>
#include <thread>

#include "tests/support/descriptors.hpp"

namespace bulkhead::ipc {
namespace {

using base::UniqueFd;
using nlohmann::json;
using namespace std::chrono_literals;
using test::open_descriptors;

Deadline soon() { return Deadline::in(10s); }  // a watchdog, never reached when all is well

struct Wire {
  UniqueFd ours, theirs;
  Wire() {
    auto pair = base::make_socketpair(SOCK_SEQPACKET).value();
    ours = std::move(pair.first);
    theirs = std::move(pair.second);
  }
  // Sends bytes and descriptors as they are, as a hostile peer would.
  void inject(const std::string& bytes, const std::vector<int>& fds = {}) const {
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    std::vector<char> control(CMSG_SPACE(sizeof(int) * fds.size()));
    if (!fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* const rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
      std::memcpy(CMSG_DATA(rights), fds.data(), sizeof(int) * fds.size());
    }
    ASSERT_EQ(::sendmsg(theirs.get(), &message, 0), static_cast<ssize_t>(bytes.size()));
  }
};

struct HeaderFields {
  std::string magic = "BHC1";
  std::uint16_t major = 1, minor = 0;
  std::uint32_t bytes = 0;
  std::uint16_t fds = 0, flags = 0;
};

std::string frame(HeaderFields fields, const std::string& text) {
  std::string out = fields.magic;
  const auto put = [&out](const auto& value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  put(fields.major), put(fields.minor), put(fields.bytes), put(fields.fds), put(fields.flags);
  return out + text;
}

std::string honest(const std::string& text, std::uint16_t fds = 0) {
  return frame({.bytes = static_cast<std::uint32_t>(text.size()), .fds = fds}, text);
}

Errc code_of(const Error& error) {
  EXPECT_EQ(&error.code.category(), &bulkhead_category()) << error.to_string();
  return static_cast<Errc>(error.code.value());
}

void expect_refused(const Wire& wire, Errc errc = Errc::protocol_violation) {
  auto packet = receive_packet(wire.ours.get());
  ASSERT_FALSE(packet);
  EXPECT_EQ(code_of(packet.error()), errc) << packet.error().to_string();
}

bool same_file(int a, int b) {
  struct stat first {
  }, second{};
  return ::fstat(a, &first) == 0 && ::fstat(b, &second) == 0 && first.st_ino == second.st_ino &&
         first.st_dev == second.st_dev;
}

UniqueFd memory_file(const std::string& text, int seals) {
  auto file = base::make_memfd("test", true).value();
  EXPECT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  if (seals != 0) {
    EXPECT_EQ(::fcntl(file.get(), F_ADD_SEALS, seals), 0);
  }
  return file;
}

constexpr int all_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

TEST(ControlPacket, carries_a_body_and_four_descriptors_in_order) {
  Wire wire;
  std::vector<UniqueFd> files;
  std::vector<int> borrowed;
  for (int i = 0; i < 4; ++i) {
    files.push_back(memory_file("x", 0));
    borrowed.push_back(files.back().get());
  }
  const json body{{"method", "hello"}, {"params", {{"text", "ä\n\"\\"}, {"n", -3}}}};
  ASSERT_TRUE(send_packet(wire.theirs.get(), body, borrowed));
  const auto packet = receive_packet(wire.ours.get()).value().value();
  EXPECT_EQ(packet.body, body);
  ASSERT_EQ(packet.fds.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(same_file(packet.fds[i].get(), borrowed[i]));
    EXPECT_EQ(::fcntl(packet.fds[i].get(), F_GETFD), FD_CLOEXEC);
  }
}

TEST(ControlPacket, says_nothing_is_there_when_nothing_is_there) {
  Wire wire;
  EXPECT_FALSE(receive_packet(wire.ours.get()).value().has_value());
}

TEST(ControlPacket, keeps_the_boundaries_of_packets) {
  Wire wire;
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(send_packet(wire.theirs.get(), json(i)));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(receive_packet(wire.ours.get()).value().value().body, i);
}

TEST(ControlPacket, carries_bodies_around_the_inline_limit_with_descriptors) {
  Wire wire;
  const auto file = memory_file("x", 0);
  const std::array<int, 4> fds{file.get(), file.get(), file.get(), file.get()};
  const std::size_t before = open_descriptors();
  for (const std::size_t size : {packet_inline_bytes_max - 3, packet_inline_bytes_max - 2,
                                 packet_inline_bytes_max - 1, std::size_t{1} << 20}) {
    const json body = std::string(size, 'x');  // two quotes more
    ASSERT_TRUE(send_packet(wire.theirs.get(), body, fds)) << size;
    const auto packet = receive_packet(wire.ours.get()).value().value();
    EXPECT_TRUE(packet.body == body) << size;
    EXPECT_EQ(packet.fds.size(), 4u);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(ControlPacket, moves_the_body_out_of_line_when_the_send_buffer_is_small) {
  Wire wire;
  const int small = 1;  // the kernel makes its minimum of it
  ASSERT_EQ(::setsockopt(wire.theirs.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
  const json body = std::string(60'000, 'x');
  ASSERT_TRUE(send_packet(wire.theirs.get(), body));
  EXPECT_TRUE(receive_packet(wire.ours.get()).value().value().body == body);
}

TEST(ControlPacket, refuses_to_send_what_no_receiver_would_take) {
  Wire wire;
  const std::array<int, 5> five{0, 0, 0, 0, 0};
  EXPECT_EQ(code_of(send_packet(wire.theirs.get(), json(1), five).error()), Errc::invalid_argument);
  const json huge = std::string(packet_body_bytes_max, 'x');
  EXPECT_EQ(code_of(send_packet(wire.theirs.get(), huge).error()), Errc::message_too_big);
  json deep = json::array();
  for (int i = 0; i < 64; ++i) deep = json::array({std::move(deep)});
  EXPECT_EQ(code_of(send_packet(wire.theirs.get(), deep).error()), Errc::invalid_argument);
  EXPECT_FALSE(receive_packet(wire.ours.get()).value().has_value());
}

TEST(ControlPacket, replaces_what_is_no_utf8) {
  Wire wire;
  ASSERT_TRUE(send_packet(wire.theirs.get(), json("a\xff"
                                                  "b")));
  EXPECT_EQ(receive_packet(wire.ours.get()).value().value().body,
            "a\xef\xbf\xbd"
            "b");
}

TEST(ControlPacket, says_would_block_when_the_peer_does_not_read) {
  Wire wire;
  const json body = std::string(30'000, 'x');
  Result<void> sent;
  int count = 0;
  while ((sent = send_packet(wire.theirs.get(), body))) ++count;
  EXPECT_EQ(code_of(sent.error()), Errc::would_block);
  for (int i = 0; i < count; ++i) EXPECT_TRUE(receive_packet(wire.ours.get()).value().has_value());
  EXPECT_TRUE(send_packet(wire.theirs.get(), body));
}

TEST(ControlPacket, blocking_send_goes_on_when_the_peer_reads) {
  Wire wire;
  const json body = std::string(30'000, 'x');
  constexpr int count = 100;
  std::thread reader([&] {
    for (int i = 0; i < count; ++i) EXPECT_TRUE(receive_packet(wire.ours.get(), soon()));
  });
  for (int i = 0; i < count; ++i) EXPECT_TRUE(send_packet(wire.theirs.get(), body, {}, soon()));
  reader.join();
}

TEST(ControlPacket, blocking_calls_end_at_their_deadline_and_at_a_stop) {
  Wire wire;
  EXPECT_EQ(code_of(receive_packet(wire.ours.get(), Deadline::in(1ms)).error()), Errc::timed_out);
  StopFlag stop;
  std::thread stopper([&] { stop.raise(); });
  EXPECT_EQ(code_of(receive_packet(wire.ours.get(), soon().unless(stop)).error()), Errc::stopped);
  stopper.join();
  while (send_packet(wire.theirs.get(), json(std::string(30'000, 'x')))) {
  }
  const json body = std::string(30'000, 'x');
  EXPECT_EQ(code_of(send_packet(wire.theirs.get(), body, {}, Deadline::in(1ms)).error()),
            Errc::timed_out);
}

TEST(ControlPacket, says_closed_at_the_end_and_only_after_what_was_sent) {
  Wire wire;
  ASSERT_TRUE(send_packet(wire.ours.get(), json("unread")));  // makes the close a reset
  ASSERT_TRUE(send_packet(wire.theirs.get(), json("last words")));
  wire.theirs.reset();
  EXPECT_EQ(receive_packet(wire.ours.get()).value().value().body, "last words");
  EXPECT_EQ(code_of(receive_packet(wire.ours.get()).error()), Errc::closed);
  EXPECT_EQ(code_of(send_packet(wire.ours.get(), json(1)).error()), Errc::closed);
}

TEST(HostilePacket, that_is_empty_passes_for_the_end) {
  Wire wire;
  ASSERT_EQ(::send(wire.theirs.get(), "", 0, 0), 0);
  EXPECT_EQ(code_of(receive_packet(wire.ours.get()).error()), Errc::closed);
}

TEST(HostilePacket, with_a_wrong_header_is_refused) {
  Wire wire;
  for (std::size_t size = 1; size < 16; ++size) {
    wire.inject(honest("1").substr(0, size));
    expect_refused(wire);
  }
  wire.inject(frame({.magic = "BHC2", .bytes = 1}, "1"));
  expect_refused(wire);
  wire.inject(frame({.major = 2, .bytes = 1}, "1"));
  expect_refused(wire, Errc::version_mismatch);
  wire.inject(frame({.bytes = 1, .flags = 2}, "1"));
  expect_refused(wire);
  wire.inject(frame({.bytes = 2}, "1"));
  expect_refused(wire);
  wire.inject(frame({.bytes = 0}, "1"));
  expect_refused(wire);
  wire.inject(frame({.bytes = 0xffffffff}, "1"));
  expect_refused(wire);
  wire.inject(frame({.bytes = 1, .fds = 1}, "1"));
  expect_refused(wire);
  wire.inject(frame({.bytes = 1, .flags = 1}, ""));  // a body apart that did not come
  expect_refused(wire);
  wire.inject(honest(std::string(packet_inline_bytes_max + 1, '1')));
  expect_refused(wire);
  wire.inject(frame({.minor = 7, .bytes = 1}, "1"));  // a newer minor is no reason to refuse
  EXPECT_EQ(receive_packet(wire.ours.get()).value().value().body, 1);
}

TEST(HostilePacket, with_a_body_that_is_no_json_is_refused) {
  Wire wire;
  for (const char* text :
       {"", "{", "[1,]", "{\"a\":1}x", "\"\xff\"", "nul", "\"\\", "]]]]", "1e999"}) {
    wire.inject(honest(text));
    expect_refused(wire);
  }
}

TEST(HostilePacket, that_nests_deeply_is_refused_before_anything_recurses) {
  Wire wire;
  for (const std::string open : {"[", "{\"a\":"}) {
    std::string text;
    while (text.size() < 60'000) text += open;
    wire.inject(honest(text));
    expect_refused(wire);
  }
  const std::string deepest = std::string(64, '[') + std::string(64, ']');
  wire.inject(honest(deepest));
  EXPECT_TRUE(receive_packet(wire.ours.get()));
  wire.inject(honest("[" + deepest + "]"));
  expect_refused(wire);
  wire.inject(honest("\"\\\"" + std::string(100, '[') + "\""));  // brackets in a string are text
  EXPECT_TRUE(receive_packet(wire.ours.get()));
}

TEST(HostilePacket, with_other_descriptors_than_it_says_is_refused_and_leaks_none) {
  Wire wire;
  const auto file = memory_file("1", all_seals);
  const std::size_t before = open_descriptors();
  for (std::size_t count = 1; count <= 200; count += count < 8 ? 1 : 64) {
    for (const std::uint16_t said : std::array<std::uint16_t, 5>{0, 1, 4, 5, 200}) {
      if (said == count && count <= packet_fds_max) continue;
      wire.inject(honest("1", said), std::vector<int>(count, file.get()));
      expect_refused(wire);
      EXPECT_EQ(open_descriptors(), before) << count << " sent, " << said << " said";
    }
  }
  wire.inject("", {file.get()});
  wire.inject("x", {file.get(), file.get()});
  expect_refused(wire);
  expect_refused(wire);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(HostilePacket, with_a_body_in_a_file_that_could_change_is_refused) {
  Wire wire;
  const std::string text = "\"" + std::string(70'000, 'x') + "\"";
  const auto bytes = static_cast<std::uint32_t>(text.size());
  const auto in_memfd = frame({.bytes = bytes, .flags = 1}, "");
  const std::size_t before = open_descriptors();
  for (const int missing : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE}) {
    const auto file = memory_file(text, all_seals & ~missing);
    wire.inject(in_memfd, {file.get()});
    expect_refused(wire);
  }
  {
    const auto file = memory_file(text, all_seals);
    wire.inject(frame({.bytes = bytes + 1, .flags = 1}, ""), {file.get()});
    expect_refused(wire);
    wire.inject(frame({.bytes = bytes - 1, .flags = 1}, ""), {file.get()});
    expect_refused(wire);
    wire.inject(frame({.bytes = 1u << 30, .flags = 1}, ""), {file.get()});
    expect_refused(wire);
    wire.inject(frame({.bytes = bytes, .flags = 1}, "1"), {file.get()});
    expect_refused(wire);
    wire.inject(frame({.bytes = 0, .flags = 1}, ""), {file.get()});
    expect_refused(wire);
    wire.inject(in_memfd, {file.get()});
    EXPECT_TRUE(receive_packet(wire.ours.get()));
  }
  auto pipe = base::make_pipe().value();
  wire.inject(in_memfd, {pipe.first.get()});  // reading it would block for ever
  expect_refused(wire);
  const UniqueFd directory{::open("/", O_RDONLY | O_CLOEXEC)};
  wire.inject(in_memfd, {directory.get()});
  expect_refused(wire);
  pipe = {};
  EXPECT_EQ(open_descriptors(), before + 1);  // the directory
}

// A random walk over nearly right packets: whatever arrives, the receiver answers with a value or an
// error, goes on, and keeps no descriptor.
TEST(HostilePacket, of_random_bytes_and_descriptors_does_no_harm) {
  const auto seed = std::random_device{}();
  RecordProperty("seed", std::to_string(seed));
  std::mt19937 random(seed);
  const auto pick = [&random](int below) {
    return static_cast<int>(random() % static_cast<unsigned>(below));
  };
  Wire wire;
  const auto sealed = memory_file("[1,2,3]", all_seals);
  const auto open_file = memory_file("[1,2,3]", 0);
  const std::size_t before = open_descriptors();
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = pick(2) == 0
                            ? honest(R"({"jsonrpc":"2.0","id":1,"method":"x","params":{"a":[1]}})",
                                     static_cast<std::uint16_t>(pick(6)))
                            : frame({.bytes = static_cast<std::uint32_t>(pick(9)),
                                     .fds = static_cast<std::uint16_t>(pick(3)),
                                     .flags = static_cast<std::uint16_t>(pick(3))},
                                    "");
    for (int flips = pick(4); flips > 0; --flips) {
      bytes[static_cast<std::size_t>(pick(static_cast<int>(bytes.size())))] =
          static_cast<char>(pick(256));
    }
    if (pick(8) == 0)
      bytes.resize(static_cast<std::size_t>(pick(static_cast<int>(bytes.size()))) + 1);
    std::vector<int> fds;
    for (int n = pick(8); n > 0; --n) fds.push_back(pick(2) == 0 ? sealed.get() : open_file.get());
    wire.inject(bytes, fds);
    auto packet = receive_packet(wire.ours.get());
    if (packet) {
      ASSERT_TRUE(packet->has_value());
    }
  }
  EXPECT_EQ(open_descriptors(), before) << "seed " << seed;
}

}  // namespace
}  // namespace bulkhead::ipc
