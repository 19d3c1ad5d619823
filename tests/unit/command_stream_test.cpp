// Standard streams that are never waited for, without a change that others who share them would see.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "pool/command_stream.hpp"
#include "tests/support/temporary_directory.hpp"

namespace bulkhead::pool {
namespace {

using Direction = CommandStream::Direction;

// Writes until there is no room; true when that ended without a wait.
bool fills_up(CommandStream& stream) {
  const std::string text(100'000, 'x');
  for (int i = 0; i < 100; ++i) {
    const auto n = stream.write(text);
    if (!n) return false;
    if (!*n) return true;
  }
  return false;
}

bool blocks_others(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0; }

TEST(CommandStream, a_full_pipe_is_not_waited_for_and_stays_as_others_have_it) {
  auto pipe = base::make_pipe().value();
  CommandStream stream(pipe.second.get(), Direction::writes);
  EXPECT_TRUE(fills_up(stream));
  EXPECT_TRUE(blocks_others(pipe.second.get()));
  std::array<char, 65536> taken;
  ASSERT_GT(::read(pipe.first.get(), taken.data(), taken.size()), 0);
  EXPECT_TRUE(stream.write("y").value());
}

TEST(CommandStream, a_full_socket_is_not_waited_for_and_stays_as_others_have_it) {
  auto pair = base::make_socketpair(SOCK_STREAM).value();
  CommandStream stream(pair.first.get(), Direction::writes);
  EXPECT_TRUE(fills_up(stream));
  EXPECT_TRUE(blocks_others(pair.first.get()));
}

TEST(CommandStream, an_empty_pipe_or_socket_is_not_waited_for) {
  auto pipe = base::make_pipe().value();
  auto pair = base::make_socketpair(SOCK_STREAM).value();
  for (const auto& [reads, writes] :
       {std::pair(pipe.first.get(), pipe.second.get()), {pair.first.get(), pair.second.get()}}) {
    CommandStream stream(reads, Direction::reads);
    std::array<char, 16> text{};
    EXPECT_FALSE(stream.read(text).value());
    EXPECT_TRUE(blocks_others(reads));
    ASSERT_EQ(::write(writes, "ab", 2), 2);
    EXPECT_EQ(stream.read(text).value(), 2U);
  }
  pipe.second.reset();
  CommandStream ended(pipe.first.get(), Direction::reads);
  std::array<char, 16> text{};
  EXPECT_EQ(ended.read(text).value(), 0U);
}

// It cannot be opened once more, so it is looked at before each write.
TEST(CommandStream, a_pipe_without_a_reader_is_a_failure) {
  auto pipe = base::make_pipe().value();
  pipe.first.reset();
  ASSERT_NE(::signal(SIGPIPE, SIG_IGN), SIG_ERR);
  CommandStream stream(pipe.second.get(), Direction::writes);
  const auto n = stream.write("x");
  ASSERT_FALSE(n);
  EXPECT_EQ(n.error().code.value(), EPIPE);
}

TEST(CommandStream, a_file_goes_on_where_it_is) {
  const test::TemporaryDirectory directory;
  const base::UniqueFd file{::open(directory.write("f", "abcdef").c_str(), O_RDWR | O_CLOEXEC)};
  ASSERT_EQ(::lseek(file.get(), 3, SEEK_SET), 3);
  CommandStream stream(file.get(), Direction::reads);
  std::array<char, 2> text{};
  EXPECT_EQ(stream.read(text).value(), 2U);
  EXPECT_EQ(std::string(text.data(), 2), "de");
  EXPECT_EQ(::lseek(file.get(), 0, SEEK_CUR), 5);
}

TEST(CommandStream, one_that_is_closed_is_a_failure) {
  const int never_open = 987'654;
  CommandStream stream(never_open, Direction::writes);
  EXPECT_EQ(stream.write("x").error().code.value(), EBADF);
}

}  // namespace
}  // namespace bulkhead::pool
