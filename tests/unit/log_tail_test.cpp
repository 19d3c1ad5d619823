// A rotated log read as one stream.
#include "cli/log_tail.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temporary_directory.hpp"

namespace bulkhead::cli {
namespace {

class LogTailOf : public testing::Test {
 protected:
  void append(const std::string& text) { std::ofstream(path_, std::ios::app) << text; }
  // As the logger does: the oldest names first, then a new file.
  void rotate() {
    for (int number = 3; number >= 1; --number) {
      const auto from = number == 1 ? path_ : path_ + "." + std::to_string(number - 1);
      if (std::filesystem::exists(from)) {
        std::filesystem::rename(from, path_ + "." + std::to_string(number));
      }
    }
    append("");
  }

  test::TemporaryDirectory directory_;
  std::string path_ = directory_.path("echo.0.log");
};

TEST_F(LogTailOf, a_log_that_is_not_there_yet_is_empty_and_is_read_once_it_is) {
  LogTail tail(path_);
  EXPECT_EQ(tail.last_lines(10), "");
  EXPECT_EQ(tail.read_new(), "");
  append("first\n");
  EXPECT_EQ(tail.read_new(), "first\n");
}

TEST_F(LogTailOf, the_last_lines_are_exactly_as_many_as_asked_for) {
  append("1\n2\n3\n4\n");
  EXPECT_EQ(LogTail(path_).last_lines(0), "");
  EXPECT_EQ(LogTail(path_).last_lines(1), "4\n");
  EXPECT_EQ(LogTail(path_).last_lines(3), "2\n3\n4\n");
  EXPECT_EQ(LogTail(path_).last_lines(9), "1\n2\n3\n4\n");
}

TEST_F(LogTailOf, a_line_that_is_not_finished_counts_as_one) {
  append("1\n2\nhalf");
  EXPECT_EQ(LogTail(path_).last_lines(1), "half");
  EXPECT_EQ(LogTail(path_).last_lines(2), "2\nhalf");
}

TEST_F(LogTailOf, lines_longer_than_a_chunk_come_whole) {
  const std::string longer(200'000, 'x');
  append("1\n" + longer + "\n3\n");
  EXPECT_EQ(LogTail(path_).last_lines(2), longer + "\n3\n");
}

TEST_F(LogTailOf, the_last_lines_reach_back_into_rotated_files) {
  append("1\n2\n");
  rotate();
  append("3\n");
  rotate();
  append("4\n");
  EXPECT_EQ(LogTail(path_).last_lines(3), "2\n3\n4\n");
  EXPECT_EQ(LogTail(path_).last_lines(9), "1\n2\n3\n4\n");
}

TEST_F(LogTailOf, what_is_new_goes_on_behind_the_last_lines) {
  append("1\n2\n");
  LogTail tail(path_);
  EXPECT_EQ(tail.last_lines(1), "2\n");
  append("3\n4");
  EXPECT_EQ(tail.read_new(), "3\n4");
  EXPECT_EQ(tail.read_new(), "");
}

TEST_F(LogTailOf, nothing_is_lost_or_doubled_when_it_is_rotated_twice_between_two_looks) {
  append("1\n");
  LogTail tail(path_);
  EXPECT_EQ(tail.read_new(), "1\n");
  append("2\n");
  rotate();
  append("3\n");
  rotate();
  append("4\n");
  EXPECT_EQ(tail.read_new(), "2\n3\n4\n");
  append("5\n");
  EXPECT_EQ(tail.read_new(), "5\n");
}

TEST_F(LogTailOf, a_file_that_was_rotated_away_for_good_is_followed_by_what_is_there) {
  append("1\n");
  LogTail tail(path_);
  EXPECT_EQ(tail.read_new(), "1\n");
  std::filesystem::remove(path_);
  append("2\n");
  EXPECT_EQ(tail.read_new(), "2\n");
}

}  // namespace
}  // namespace bulkhead::cli
