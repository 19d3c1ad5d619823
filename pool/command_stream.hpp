// A standard stream of ours that is never waited for. O_NONBLOCK belongs to an open file, which we share with a shell
// and with whoever else holds the terminal or the pipe; so a pipe or terminal is opened once more for us alone.
// Used by the loop that runs commands, which must hear of deaths whoever stalls it.
#pragma once

#include <bulkhead/error.hpp>
#include <optional>
#include <span>
#include <string_view>

#include "base/fd.hpp"

namespace bulkhead::pool {

class CommandStream {
 public:
  enum class Direction { reads, writes };
  // Borrows `fd`, which outlives it.
  CommandStream(int fd, Direction);

  // nullopt: not now; poll_fd() tells when. 0: the end.
  Result<std::optional<std::size_t>> read(std::span<char>);
  Result<std::optional<std::size_t>> write(std::string_view);

  bool is_terminal() const noexcept { return is_terminal_; }
  int poll_fd() const noexcept { return own_.is_open() ? own_.get() : fd_; }

 private:
  enum class Kind { waits_for_nobody, reopened, socket, looked_at_first };

  bool may_block_now() const noexcept;

  const int fd_;
  const short event_;
  Kind kind_ = Kind::waits_for_nobody;
  bool is_terminal_ = false;
  base::UniqueFd own_;
};

}  // namespace bulkhead::pool
