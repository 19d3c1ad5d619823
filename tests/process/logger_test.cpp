// The logger as a process: what it writes, what it survives, and whom it never stalls.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <future>
#include <set>
#include <vector>

#include "tests/support/logger_process.hpp"
#include "tests/support/temporary_directory.hpp"

namespace bulkhead {
namespace {

using test::contents;
using test::LoggerProcess;
using test::TemporaryDirectory;
using test::write_all;

constexpr std::size_t line_bytes = 32;

// Lines of one length, so that a torn one can be told from a whole one.
std::string line(std::size_t number) {
  std::string text = "line " + std::to_string(1'000'000'000 + number) + " ";
  text.resize(line_bytes - 1, '.');
  return text + "\n";
}

std::string lines(std::size_t first, std::size_t end) {
  std::string text;
  for (std::size_t number = first; number < end; ++number) text += line(number);
  return text;
}

std::vector<std::size_t> numbers_in(const std::string& text) {
  std::vector<std::size_t> numbers;
  std::istringstream in(text);
  for (std::string found; std::getline(in, found);) {
    if (found.size() != line_bytes - 1 || !found.starts_with("line ")) continue;
    numbers.push_back(std::stoul(found.substr(5, 10)) - 1'000'000'000);
  }
  return numbers;
}

// All files of a log, oldest first.
std::string whole_log(const std::string& path) {
  std::string text;
  int oldest = 0;
  while (std::filesystem::exists(path + "." + std::to_string(oldest + 1))) ++oldest;
  for (; oldest > 0; --oldest) text += contents(path + "." + std::to_string(oldest));
  return text + contents(path);
}

// What a worker wrote: there, or told of as dropped. A line break may have been added before each
// telling, so `bytes` is exact up to their number.
struct Account {
  std::size_t bytes = 0, dropped = 0, tellings = 0;
};
Account account_for(const std::string& text) {
  static constexpr std::string_view begin = "[bulkhead: ";
  Account account{text.size(), 0, 0};
  for (auto at = text.find(begin); at != std::string::npos; at = text.find(begin, at + 1)) {
    const auto end = text.find('\n', at);
    if (end == std::string::npos) break;  // not yet told to its end
    account.dropped += std::stoul(text.substr(at + begin.size()));
    account.bytes -= end + 1 - at;
    ++account.tellings;
  }
  account.bytes += account.dropped;
  return account;
}

// A worker's end: a pipe, and a thread that floods it.
// Stands before its logger in each test: a writer that is still blocked is freed when both are gone.
struct Worker {
  base::FdPair pipe = base::make_pipe().value();
  std::future<void> done;

  Worker() = default;
  Worker(Worker&&) = default;
  ~Worker() { pipe.first.reset(); }

  int read_end() const { return pipe.first.get(); }
  void write(const std::string& text) const { write_all(pipe.second.get(), text); }
  void flood(std::size_t count) {
    done = std::async(std::launch::async, [this, count] {
      constexpr std::size_t batch = 100;
      for (std::size_t first = 0; first < count; first += batch) {
        write(lines(first, std::min(first + batch, count)));
      }
    });
  }
  bool finishes() const {
    return done.wait_for(test::logger_watchdog) == std::future_status::ready;
  }
};

class LoggerTest : public ::testing::Test {
 protected:
  void SetUp() override { ::signal(SIGPIPE, SIG_IGN); }

  std::string path(const std::string& name = "echo.0.log") const { return directory_.path(name); }
  TemporaryDirectory directory_;
};

TEST_F(LoggerTest, writes_what_comes_out_of_the_pipe_before_it_answers_a_flush) {
  Worker worker;
  LoggerProcess logger;
  logger.add("echo.0", path(), worker.read_end());
  worker.write("hello\nhalf a ");
  logger.flush();
  EXPECT_EQ(contents(path()), "hello\nhalf a ");
  worker.write("line\n");
  logger.flush();
  EXPECT_EQ(contents(path()), "hello\nhalf a line\n");
}

TEST_F(LoggerTest, appends_to_what_an_earlier_run_has_left) {
  directory_.write("echo.0.log", "earlier\n");
  Worker worker;
  LoggerProcess logger;
  logger.add("echo.0", path(), worker.read_end());
  worker.write("now\n");
  logger.flush();
  EXPECT_EQ(contents(path()), "earlier\nnow\n");
}

TEST_F(LoggerTest, tells_the_last_lines_with_those_still_in_the_pipe) {
  Worker worker;
  LoggerProcess logger;
  logger.add("echo.0", path(), worker.read_end());
  EXPECT_EQ(logger.tail("echo.0", 50, 1000)["result"]["text"], "");
  worker.write("one\ntwo\nthree\nunfini");
  EXPECT_EQ(logger.tail("echo.0", 2, 1000)["result"]["text"], "three\nunfini");
  worker.write("shed\n\xFF\n");
  EXPECT_EQ(logger.tail("echo.0", 2, 1000)["result"]["text"], "unfinished\n\xEF\xBF\xBD\n");
  EXPECT_EQ(logger.tail("echo.0", 50, 14)["result"]["text"], "unfinished\n\xEF\xBF\xBD\n");
  EXPECT_TRUE(logger.tail("nobody", 50, 1000).contains("error"));
}

TEST_F(LoggerTest, tells_last_lines_across_a_rotation) {
  Worker worker;
  LoggerProcess logger;
  logger.add("echo.0", path(), worker.read_end(), {{"max_size", 3 * line_bytes}});
  worker.write(lines(0, 7));
  logger.flush();
  ASSERT_EQ(contents(path()), lines(6, 7));
  EXPECT_EQ(logger.tail("echo.0", 3, 1000)["result"]["text"], lines(4, 7));
}

TEST_F(LoggerTest, makes_the_directory) {
  Worker worker;
  LoggerProcess logger;
  logger.add("echo.0", path("a/b/echo.0.log"), worker.read_end());
  worker.write("now\n");
  logger.flush();
  EXPECT_EQ(contents(path("a/b/echo.0.log")), "now\n");
}

TEST_F(LoggerTest, loses_no_line_when_it_is_killed_again_and_again_in_a_flood) {
  constexpr std::size_t count = 400'000;
  Worker worker;
  worker.flood(count);
  const ipc::Json options{{"overflow", "block"}, {"max_size", 1 << 20}, {"keep", 1000}};
  for (int round = 0; round < 12; ++round) {
    LoggerProcess victim;
    victim.add("echo.0", path(), worker.read_end(), options);
    victim.ask_to_flush();
    if (round % 2 == 0) victim.await_flushed();  // else wherever it is just now
    EXPECT_EQ(victim.end_by(SIGKILL), base::ExitStatus(base::Signaled{SIGKILL, false}));
  }
  LoggerProcess last;
  last.add("echo.0", path(), worker.read_end(), options);
  ASSERT_TRUE(worker.finishes());
  last.flush();
  const std::vector<std::size_t> found = numbers_in(whole_log(path()));
  const std::set<std::size_t> different(found.begin(), found.end());
  EXPECT_EQ(different.size(), count);
  EXPECT_EQ(*different.rbegin(), count - 1);
}

TEST_F(LoggerTest, rotates_at_the_size_and_keeps_so_many_files_of_whole_lines) {
  constexpr std::size_t max_size = 10'000;
  Worker worker;
  LoggerProcess logger;
  logger.add("echo.0", path(), worker.read_end(), {{"max_size", max_size}, {"keep", 3}});
  worker.write(lines(0, 3000));
  logger.flush();
  for (const char* suffix : {"", ".1", ".2", ".3"}) {
    const std::string text = contents(path() + suffix);
    EXPECT_LE(text.size(), max_size) << suffix;
    EXPECT_GT(text.size(), *suffix == 0 ? 0 : max_size - line_bytes) << suffix;
    EXPECT_EQ(text.size() % line_bytes, 0U) << suffix;
  }
  EXPECT_FALSE(std::filesystem::exists(path() + ".4"));
  const std::vector<std::size_t> found = numbers_in(whole_log(path()));
  ASSERT_FALSE(found.empty());
  for (std::size_t index = 0; index < found.size(); ++index) {
    ASSERT_EQ(found[index], 3000 - found.size() + index);
  }
}

TEST_F(LoggerTest, drops_and_counts_what_it_cannot_write_and_says_so_when_it_can_again) {
  constexpr std::size_t count = 200'000;  // 6.4 MB, six pipes full
  directory_.write("logs", "a file where the directory should be");
  Worker worker;
  LoggerProcess logger;
  logger.add("echo.0", path("logs/echo.0.log"), worker.read_end());
  worker.flood(count);
  ASSERT_TRUE(worker.finishes());
  logger.flush();
  std::filesystem::remove(path("logs"));
  std::filesystem::create_directory(path("logs"));
  const auto told = [&] { return account_for(contents(path("logs/echo.0.log"))).dropped > 0; };
  ASSERT_TRUE(test::await_change(path("logs"), told));
  worker.write("back\n");
  logger.flush();
  EXPECT_EQ(contents(path("logs/echo.0.log")), "[bulkhead: " + std::to_string(count * line_bytes) +
                                                   " bytes of output dropped here]\nback\n");
}

TEST_F(LoggerTest, keeps_draining_when_the_disk_is_full) {
  std::filesystem::create_symlink("/dev/full", path());
  Worker worker;
  LoggerProcess logger;
  logger.add("echo.0", path(), worker.read_end());
  worker.flood(100'000);
  EXPECT_TRUE(worker.finishes());
}

TEST_F(LoggerTest, leaves_output_in_the_pipe_under_block_until_it_can_write) {
  directory_.write("logs", "a file where the directory should be");
  Worker worker;
  LoggerProcess logger;
  logger.add("echo.0", path("logs/echo.0.log"), worker.read_end(), {{"overflow", "block"}});
  worker.write(lines(0, 1000));
  logger.flush();
  std::filesystem::remove(path("logs"));
  std::filesystem::create_directory(path("logs"));
  const auto there = [&] { return contents(path("logs/echo.0.log")).size() >= 1000 * line_bytes; };
  ASSERT_TRUE(test::await_change(path("logs"), there));
  EXPECT_EQ(contents(path("logs/echo.0.log")), lines(0, 1000));
}

TEST_F(LoggerTest, serves_many_quiet_pipes_beside_a_flood) {
  Worker loud;
  std::vector<Worker> quiet(200);
  LoggerProcess logger;
  logger.add("loud", path("loud"), loud.read_end(), {{"max_size", 1 << 20}});
  for (std::size_t index = 0; index < quiet.size(); ++index) {
    const std::string name = "quiet." + std::to_string(index);
    logger.add(name, path(name), quiet[index].read_end());
  }
  loud.flood(300'000);
  for (const Worker& worker : quiet) worker.write(lines(0, 100));
  logger.flush();
  for (std::size_t index = 0; index < quiet.size(); ++index) {
    ASSERT_EQ(contents(path("quiet." + std::to_string(index))), lines(0, 100)) << index;
  }
  EXPECT_TRUE(loud.finishes());
}

// A fifo that nobody reads is a disk that does not answer.
TEST_F(LoggerTest, a_stuck_write_blocks_no_worker_for_good_and_what_it_cost_is_told) {
  constexpr std::size_t count = 200'000;
  ASSERT_EQ(::mkfifo(path("stuck").c_str(), 0600), 0);
  const base::UniqueFd disk(::open(path("stuck").c_str(), O_RDWR | O_CLOEXEC));
  Worker stuck, neighbour;
  LoggerProcess logger;
  logger.add("stuck", path("stuck"), stuck.read_end());
  logger.add("neighbour", path("neighbour"), neighbour.read_end());
  stuck.flood(count);
  neighbour.flood(count);
  ASSERT_TRUE(stuck.finishes());
  ASSERT_TRUE(neighbour.finishes());

  constexpr std::size_t total = count * line_bytes;
  auto reader = std::async(std::launch::async, [&] {  // the disk answers again
    std::vector<char> bytes(1 << 16);
    std::string text;
    while (account_for(text).bytes < total) {
      const ssize_t got = ::read(disk.get(), bytes.data(), bytes.size());
      if (got <= 0) break;
      text.append(bytes.data(), static_cast<std::size_t>(got));
    }
    return text;
  });
  const auto all_told = [&] { return account_for(contents(path("neighbour"))).bytes >= total; };
  EXPECT_TRUE(test::await_change(path(""), all_told));
  const std::string text = reader.get();
  EXPECT_GT(account_for(text).dropped, 0U);
  for (const Account& account : {account_for(text), account_for(contents(path("neighbour")))}) {
    EXPECT_GE(account.bytes, total);
    EXPECT_LE(account.bytes, total + account.tellings);
  }
}

TEST_F(LoggerTest, takes_the_same_pipe_told_twice_for_one) {
  Worker worker;
  LoggerProcess logger;
  logger.add("echo.0", path(), worker.read_end());
  worker.write("one\n");
  logger.flush();
  logger.add("echo.0", path(), worker.read_end());
  worker.write("two\n");
  logger.flush();
  EXPECT_EQ(contents(path()), "one\ntwo\n");
}

TEST_F(LoggerTest, writes_the_rest_of_a_pipe_that_is_replaced_or_removed) {
  Worker first, second;
  LoggerProcess logger;
  logger.add("echo.0", path(), first.read_end());
  first.write("first\n");
  logger.add("echo.0", path(), second.read_end());
  second.write("second\n");
  logger.send(ipc::notification("log.remove", {{"name", "echo.0"}}));
  logger.flush();
  EXPECT_EQ(contents(path()), "first\nsecond\n");
  second.write("nobody reads this\n");
  logger.flush();
  EXPECT_EQ(contents(path()), "first\nsecond\n");
}

TEST_F(LoggerTest, writes_everything_before_it_leaves_at_the_end_of_its_control_socket) {
  Worker worker;
  LoggerProcess logger;
  logger.add("echo.0", path(), worker.read_end());
  logger.flush();
  worker.write(lines(0, 2000));
  EXPECT_EQ(logger.close_control(), base::ExitStatus(base::Exited{0}));
  EXPECT_EQ(contents(path()), lines(0, 2000));
}

TEST_F(LoggerTest, writes_everything_before_it_leaves_on_sigterm) {
  Worker worker;
  LoggerProcess logger;
  logger.add("echo.0", path(), worker.read_end());
  logger.flush();
  worker.write(lines(0, 2000));
  EXPECT_EQ(logger.end_by(SIGTERM), base::ExitStatus(base::Exited{0}));
  EXPECT_EQ(contents(path()), lines(0, 2000));
}

TEST_F(LoggerTest, goes_on_after_the_last_writer_of_a_pipe_is_gone) {
  Worker ended, other;
  LoggerProcess logger;
  logger.add("ended", path("ended"), ended.read_end());
  logger.add("other", path("other"), other.read_end());
  ended.write("last words\n");
  ended.pipe.second.reset();
  other.write("still here\n");
  logger.flush();
  EXPECT_EQ(contents(path("ended")), "last words\n");
  EXPECT_EQ(contents(path("other")), "still here\n");
}

TEST_F(LoggerTest, answers_a_request_that_it_does_not_know_with_an_error) {
  LoggerProcess logger;
  logger.send(ipc::request(9, "log.burn", ipc::Json::object()));
  const auto answer = ipc::receive_packet(logger.control(), Deadline::in(test::logger_watchdog));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body.at("error").at("code"), -32601);
}

}  // namespace
}  // namespace bulkhead
