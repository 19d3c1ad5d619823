// Runs a program to its end and keeps what it said. Used by process tests.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace bulkhead::test {

struct CommandOutput {
  int code = -1;  // exit code; 128 + signal; -1 when it could not be started or hung
  std::string out;
  std::string err;
};

// `extra_environment` is "NAME=VALUE", over ours. A program that has not ended within `patience` is
// killed: code -1, and `err` ends with the reason.
CommandOutput run_command(std::vector<std::string> argv,
                          std::vector<std::string> extra_environment = {},
                          std::chrono::seconds patience = std::chrono::seconds(30));

}  // namespace bulkhead::test
