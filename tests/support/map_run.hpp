// `bulkhead map` as a test runs it: inputs and output in files, and a fifo that its commands hold open, so that the
// kernel says when the last of them is gone. Used by the process tests of `map`.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/child_process.hpp"
#include "tests/support/temporary_directory.hpp"

namespace bulkhead::test {

class Fifo {
 public:
  explicit Fifo(std::string path) : path_(std::move(path)) {
    EXPECT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    reader_.reset(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    EXPECT_TRUE(reader_.is_open());
  }
  const std::string& path() const { return path_; }

  // What was written, once that many lines are there; less when a minute has passed.
  std::string lines(long count) {
    while (std::count(text_.begin(), text_.end(), '\n') < count && read_more()) {
    }
    return text_;
  }
  // True when nobody who had it open is left; false when a minute has passed.
  bool is_let_go() {
    while (read_more()) {
    }
    return let_go_;
  }

 private:
  bool read_more() {
    pollfd entry{reader_.get(), POLLIN, 0};
    if (::poll(&entry, 1, 60'000) <= 0) return false;
    std::array<char, 4096> chunk;
    const ssize_t n = ::read(reader_.get(), chunk.data(), chunk.size());
    if (n > 0) text_.append(chunk.data(), static_cast<std::size_t>(n));
    let_go_ = n == 0 && (entry.revents & POLLHUP) != 0;
    return n > 0;
  }

  std::string path_;
  base::UniqueFd reader_;
  std::string text_;
  bool let_go_ = false;
};

class Map : public testing::Test {
 protected:
  struct Ended {
    int code = -1;  // 128 + signal for a death; -1 when it had not ended after a minute
    std::string out, err;
  };
  class Run {
   public:
    Run(base::Spawned spawned, std::string out, std::string err)
        : child_(std::move(spawned), base::ChildProcess::OnDestroy::kill),
          out_(std::move(out)),
          err_(std::move(err)) {}
    pid_t pid() const { return child_.pid(); }
    void signal(int number) { EXPECT_TRUE(child_.send_signal(number)); }
    Ended end() {
      const auto status = child_.wait(Deadline::in(std::chrono::minutes(1)));
      Ended ended;
      if (status) {
        const auto* exited = std::get_if<base::Exited>(&*status);
        ended.code =
            exited != nullptr ? exited->code : 128 + std::get<base::Signaled>(*status).signal;
      }
      ended.out = base::read_file(out_).value();
      ended.err = base::read_file(err_).value();
      return ended;
    }

   private:
    base::ChildProcess child_;
    std::string out_, err_;
  };

  // `words`: options, "--", the command. `output`: instead of a file, borrowed.
  Run start(std::vector<std::string> words, const std::string& inputs, int output = -1,
            int errors = -1) {
    const std::string name = "run" + std::to_string(++runs_);
    const base::UniqueFd in{
        ::open(directory_.write(name + ".in", inputs).c_str(), O_RDONLY | O_CLOEXEC)};
    const auto make = [&](const std::string& file) {
      return base::UniqueFd{
          ::open(directory_.path(file).c_str(), O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600)};
    };
    const auto out = make(name + ".out"), err = make(name + ".err");
    base::SpawnPlan plan;
    plan.executable = BULKHEAD_PROGRAM;
    plan.argv = {"bulkhead", "map"};
    plan.argv.insert(plan.argv.end(), words.begin(), words.end());
    for (char** entry = environ; *entry != nullptr; ++entry) plan.env.emplace_back(*entry);
    plan.input = in.get();
    plan.output = output >= 0 ? output : out.get();
    plan.errors = errors >= 0 ? errors : err.get();
    return {base::spawn(plan).value(), directory_.path(name + ".out"),
            directory_.path(name + ".err")};
  }
  Ended map(std::vector<std::string> words, const std::string& inputs) {
    return start(std::move(words), inputs).end();
  }
  // Runs it from a shell: `map` stands for the program.
  Ended shell(const std::string& script) {
    const std::string define = "map() { " BULKHEAD_PROGRAM " map \"$@\"; }\n";
    base::SpawnPlan plan;
    plan.executable = "/bin/sh";
    plan.argv = {"sh", "-c", define + script};
    for (char** entry = environ; *entry != nullptr; ++entry) plan.env.emplace_back(*entry);
    plan.working_dir = directory_.path();
    const base::UniqueFd out{
        ::open(directory_.path("shell.out").c_str(), O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600)};
    const base::UniqueFd err{
        ::open(directory_.path("shell.err").c_str(), O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600)};
    plan.output = out.get();
    plan.errors = err.get();
    return Run(base::spawn(plan).value(), directory_.path("shell.out"),
               directory_.path("shell.err"))
        .end();
  }

  static std::vector<std::string> script(std::string text) {
    return {"--", "sh", "-c", std::move(text)};
  }
  static std::vector<std::string> script(std::vector<std::string> options, std::string text) {
    for (auto& word : script(std::move(text))) options.push_back(std::move(word));
    return options;
  }
  // The rows of --report.
  std::vector<nlohmann::json> rows(const std::string& file) const {
    std::istringstream lines(base::read_file(file).value());
    std::vector<nlohmann::json> all;
    for (std::string line; std::getline(lines, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  }

  TemporaryDirectory directory_;

 private:
  int runs_ = 0;
};

}  // namespace bulkhead::test
