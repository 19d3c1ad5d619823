// What the brain says on stderr, whatever that is.
#include "supervisor/operator_line.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

#include "base/fd.hpp"

namespace bulkhead::supervisor {
namespace {

std::string take_all(int fd) {
  std::string text;
  std::array<char, 4096> chunk;
  for (ssize_t n; (n = ::read(fd, chunk.data(), chunk.size())) > 0;) {
    text.append(chunk.data(), static_cast<std::size_t>(n));
  }
  return text;
}

// A pipe that nobody reads, and whose writers wait: whoever blocks here hangs the test.
TEST(OperatorLine, is_lost_and_counted_where_nobody_reads) {
  auto [read_end, write_end] = base::make_pipe().value();
  const int flags = ::fcntl(read_end.get(), F_GETFL);
  ASSERT_EQ(::fcntl(read_end.get(), F_SETFL, flags | O_NONBLOCK), 0);
  ASSERT_EQ(::fcntl(write_end.get(), F_SETFL, O_NONBLOCK), 0);
  const std::string page(4096, 'x');
  while (::write(write_end.get(), page.data(), page.size()) > 0) {
  }
  ASSERT_EQ(::fcntl(write_end.get(), F_SETFL, 0), 0);
  const base::UniqueFd before{::dup(STDERR_FILENO)};
  ASSERT_EQ(::dup2(write_end.get(), STDERR_FILENO), STDERR_FILENO);
  tell_operator("never read");
  tell_operator("nor this");
  take_all(read_end.get());
  tell_operator("echo.0: of no use");
  tell_operator("and again");
  const std::string said = take_all(read_end.get());
  ASSERT_EQ(::dup2(before.get(), STDERR_FILENO), STDERR_FILENO);
  EXPECT_EQ(said, "bulkhead: (2 lines lost before) echo.0: of no use\nbulkhead: and again\n");
}

}  // namespace
}  // namespace bulkhead::supervisor
