// What the keeper and the brain are told on their command lines. Written by launch and keeper, read
// by the two programs; knows only numbers and names.
#pragma once

#include <bulkhead/error.hpp>
#include <string>
#include <vector>

namespace bulkhead::supervisor {

enum class LogFormat { text, json };

// Where a system lives and how it was started: the same for keeper and brain.
struct SystemArguments {
  std::string name;
  std::string runtime_dir;
  std::string control_path;       // of the listening socket
  std::string program_directory;  // built-in workers lie here
  LogFormat log_format = LogFormat::text;
  bool detached = false;  // nobody watches stdout and stderr
};

struct KeeperArguments {
  int keeper_page = -1;
  int state = -1;
  int lock = -1;
  int listener = -1;
  int config = -1;
  std::string brain_program;
  SystemArguments system;
};

struct BrainArguments {
  int keeper_page = -1;
  int state = -1;
  int keeper_socket = -1;
  int listener = -1;
  int config = -1;  // a sealed memory file, see sealed_config.hpp
  SystemArguments system;
};

// argv[0] included. Errors: invalid_argument, naming the option.
Result<KeeperArguments> parse_keeper_arguments(int argc, const char* const* argv);
Result<BrainArguments> parse_brain_arguments(int argc, const char* const* argv);
std::vector<std::string> command_line(const std::string& program, const KeeperArguments&);
std::vector<std::string> command_line(const std::string& program, const BrainArguments&);

}  // namespace bulkhead::supervisor
