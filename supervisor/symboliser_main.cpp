// bulkhead-symboliser: started by `bulkhead incidents`, reads a question about places in programs from stdin and answers
// on stdout. As `bulkhead-symboliser threads PID BYTES`, started by the brain, it writes the stacks of a process.
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string_view>

#include "supervisor/symboliser_answers.hpp"

namespace {

using namespace bulkhead;

int write_out(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
}

template <class Number>
Number number(std::string_view text) {
  Number value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

int main(int argc, char** argv) try {
  ::unsetenv("DEBUGINFOD_URLS");  // libdw would ask the network for what it does not find here
  if (argc == 4 && std::string_view(argv[1]) == "threads") {
    return write_out(
        supervisor::answer_with_threads(number<pid_t>(argv[2]), number<std::size_t>(argv[3])));
  }
  return write_out(supervisor::answer_with_places(std::cin));
} catch (const std::exception& problem) {
  std::fprintf(stderr, "bulkhead-symboliser: %s\n", problem.what());
  return 1;
}
