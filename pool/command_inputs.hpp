// The inputs of `map`, one by one as they are read. Used by the loop that runs commands.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "pool/command_stream.hpp"

namespace bulkhead::pool {

struct CommandInput {
  enum class Fault : std::uint8_t { none, too_long, has_nul };  // what no argument can be

  std::uint64_t index = 0;  // from 0
  std::string text;         // of one that is too long the beginning
  Fault fault = Fault::none;
};

class CommandInputs {
 public:
  // `separator`: '\n' or '\0'. What follows the last one is an input, too, unless it is empty.
  CommandInputs(int fd, char separator);

  // Reads once. False: nothing more can be read now.
  Result<bool> read_more();

  bool ended() const noexcept { return ended_; }
  bool empty() const noexcept { return waiting_.empty(); }
  // Whether enough has been read ahead: what waits takes memory.
  bool full() const noexcept { return waiting_bytes_ >= waiting_bytes_max; }
  std::uint64_t count() const noexcept { return count_; }  // all that were read
  CommandInput take();
  int poll_fd() const noexcept { return stream_.poll_fd(); }

 private:
  static constexpr std::size_t waiting_bytes_max = std::size_t{16} << 20;

  void split(std::string_view chunk);
  void add_part(std::string_view part);
  void finish_input();

  CommandStream stream_;
  const char separator_;
  const std::size_t text_max_;  // MAX_ARG_STRLEN of execve(2), with its NUL
  std::vector<char> buffer_;
  CommandInput unfinished_;
  std::deque<CommandInput> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::uint64_t count_ = 0;
  bool ended_ = false;
};

}  // namespace bulkhead::pool
