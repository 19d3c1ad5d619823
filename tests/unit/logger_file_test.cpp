// One log file: torn lines, long lines, full files, and files that others touch.
#include "supervisor/logger_file.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/temporary_directory.hpp"

namespace bulkhead::supervisor {
namespace {

std::string contents(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class LogFileTest : public ::testing::Test {
 protected:
  std::string path(const std::string& suffix = "") const { return directory_.path("log") + suffix; }
  test::TemporaryDirectory directory_;
};

TEST_F(LogFileTest, ends_a_line_that_a_killed_predecessor_has_torn) {
  directory_.write("log", "whole\nto");
  LogFile file(path(), {});
  EXPECT_EQ(file.append("torn\n").error, 0);
  EXPECT_EQ(contents(path()), "whole\nto\ntorn\n");
}

TEST_F(LogFileTest, moves_a_line_that_does_not_fit_whole_into_the_next_file) {
  LogFile file(path(), {.max_size = 10, .keep = 2});
  file.append("123456\n");
  file.append("abcdef\n");
  EXPECT_EQ(contents(path(".1")), "123456\n");
  EXPECT_EQ(contents(path()), "abcdef\n");
}

TEST_F(LogFileTest, cuts_only_a_line_that_fits_into_no_file) {
  LogFile file(path(), {.max_size = 4, .keep = 5});
  EXPECT_EQ(file.append("abcdefghij\nx\n").bytes, 13U);
  EXPECT_EQ(contents(path(".3")) + contents(path(".2")) + contents(path(".1")) + contents(path()),
            "abcdefghij\nx\n");
  EXPECT_EQ(contents(path(".1")), "ij\n");
}

TEST_F(LogFileTest, fills_the_gap_that_a_killed_rotation_has_left) {
  directory_.write("log.2", "two\n");
  directory_.write("log", "zero\n");
  LogFile file(path(), {.max_size = 5, .keep = 2});
  file.append("new\n");
  EXPECT_EQ(contents(path(".2")), "two\n");
  EXPECT_EQ(contents(path(".1")), "zero\n");
  EXPECT_EQ(contents(path()), "new\n");
}

TEST_F(LogFileTest, gives_up_the_oldest_when_all_numbers_are_taken) {
  directory_.write("log.2", "two\n");
  directory_.write("log.1", "one\n");
  directory_.write("log", "zero\n");
  LogFile file(path(), {.max_size = 5, .keep = 2});
  file.append("new\n");
  EXPECT_EQ(contents(path(".2")), "one\n");
  EXPECT_EQ(contents(path(".1")), "zero\n");
  EXPECT_FALSE(std::filesystem::exists(path(".3")));
}

TEST_F(LogFileTest, starts_over_when_it_may_keep_nothing) {
  LogFile file(path(), {.max_size = 5, .keep = 0});
  file.append("one\n");
  file.append("two\n");
  EXPECT_EQ(contents(path()), "two\n");
  EXPECT_FALSE(std::filesystem::exists(path(".1")));
}

TEST_F(LogFileTest, makes_a_deleted_file_again) {
  LogFile file(path(), {});
  file.append("one\n");
  std::filesystem::remove(path());
  file.append("two\n");
  EXPECT_EQ(contents(path()), "two\n");
}

TEST_F(LogFileTest, notices_that_somebody_has_shortened_the_file) {
  LogFile file(path(), {.max_size = 8, .keep = 1});
  file.append("one\n");
  std::filesystem::resize_file(path(), 0);
  file.append("two\nsix\n");
  EXPECT_EQ(contents(path()), "two\nsix\n");
  EXPECT_FALSE(std::filesystem::exists(path(".1")));
}

TEST_F(LogFileTest, reports_how_much_went_in_before_the_error) {
  directory_.write("log", "a file\n");
  LogFile file(path("/below"), {});
  const Appended appended = file.append("text\n");
  EXPECT_EQ(appended.bytes, 0U);
  EXPECT_EQ(appended.error, ENOTDIR);
}

TEST_F(LogFileTest, does_not_limit_what_is_no_regular_file) {
  LogFile file("/dev/null", {.max_size = 2, .keep = 1});
  EXPECT_EQ(file.append("longer than two\n").bytes, 16U);
}

}  // namespace
}  // namespace bulkhead::supervisor
