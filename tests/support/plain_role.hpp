// Drives tests/process/plain_roles.cpp inside a running system: one command, one answer. Used by tests of programs that
// do not use the runtime.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "base/fd.hpp"
#include "tests/support/temporary_directory.hpp"

namespace bulkhead::test {

// Threads: one. Each wait is under a watchdog of 30 s, which throws.
class PlainRole {
 public:
  PlainRole() : commands_(open("commands")), answers_(open("answers")) {}

  nlohmann::json command() const {
    return {PLAIN_ROLES, directory_.path("commands"), directory_.path("answers")};
  }

  void await_up() { expect("up", next_answer()); }

  std::string ask(const std::string& line) {
    send(line);
    return next_answer();
  }
  // A command whose answer is "done".
  void tell(const std::string& line) { expect("done", ask(line)); }
  void send(const std::string& line) const {
    if (::write(commands_.get(), (line + "\n").data(), line.size() + 1) < 0) {
      throw std::runtime_error("cannot command: " + line);
    }
  }

  std::string next_answer() {
    std::string line;
    for (;;) {
      pollfd waiting{answers_.get(), POLLIN, 0};
      if (::poll(&waiting, 1, 30'000) != 1) throw std::runtime_error("no answer, only: " + line);
      char c = 0;
      if (::read(answers_.get(), &c, 1) != 1) throw std::runtime_error("cannot read an answer");
      if (c == '\n') return line;
      line += c;
    }
  }

 private:
  base::UniqueFd open(const std::string& name) const {
    const std::string path = directory_.path(name);
    if (::mkfifo(path.c_str(), 0666) != 0) throw std::runtime_error("mkfifo " + path);
    return base::UniqueFd{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
  }
  static void expect(const std::string& wanted, const std::string& answer) {
    if (answer != wanted) throw std::runtime_error("expected " + wanted + ", got: " + answer);
  }

  TemporaryDirectory directory_;
  base::UniqueFd commands_, answers_;
};

}  // namespace bulkhead::test
