// The brain's side of the keeper: what is stored there, who died, and who asked us to stop.
// Used by the brain alone; knows nothing of workers.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"
#include "base/mapped_region.hpp"
#include "supervisor/keeper_layout.hpp"

namespace bulkhead::supervisor {

using ExitEntry = keeper_layout::ExitEntry;

struct StoredFd {
  std::string tag;
  int fd;  // borrowed
};

// Threads: one. Blocking: put, drop and stop wait for the keeper's answer, which never waits for
// anything itself; a keeper that is stopped (SIGSTOP) makes them wait with it.
// Errors: closed when the keeper is gone (then so are we: it is our death signal's parent).
class KeeperClient {
 public:
  // Takes both descriptors, and every one that the keeper's store handed to this process; makes
  // all descriptors of the process close-on-exec. Call it first in main.
  static Result<KeeperClient> adopt(int keeper_page_fd, int socket_fd);

  int fd() const noexcept {
    return bell_.get();
  }  // readable when the bell rang; may ring for nothing

  // The keeper holds a duplicate from now on, under `tag`, in place of an earlier one of the same
  // tag; `fd` stays the caller's. Every later brain inherits it. Errors: out_of_budget (table or
  // descriptor limit), invalid_argument (tag of 1 to 231 bytes).
  Result<void> put(std::string_view tag, int fd);
  // Idempotent. Closes our own inherited descriptor of that tag too, unless it was taken.
  Result<void> drop(std::string_view tag);

  // What this brain inherited (not what it put itself) and has not dropped or taken.
  std::optional<int> find(std::string_view tag) const;  // borrowed
  std::vector<StoredFd> entries(
      std::string_view prefix = "") const;  // borrowed, in order of their put
  base::UniqueFd take(
      std::string_view tag);  // not open when there is none; the keeper's copy stays

  // The next entry of the exit ring that this brain has not read; a new brain begins with the first
  // one that was not acknowledged. By (slot, generation) they are idempotent.
  std::optional<ExitEntry> next_exit();
  // Everything read so far is carried out and saved: the keeper may overwrite it.
  void acknowledge();

  std::uint32_t stop_requests() const noexcept;
  std::uint64_t orphans_reaped() const noexcept;
  // Takes what lies in the socket. Call it when fd() is readable, then look at next_exit() and
  // stop_requests(). False: the keeper is gone.
  bool drain_bell();

  // Has the keeper say this to the service manager that started the system, if one listens: sd_notify(3).
  bool is_heard() const noexcept;
  Result<void> say(std::string_view message);  // errors: invalid_argument (1 to 231 bytes)

  // Asks the keeper to kill what is left and to exit with this code. This process is killed with
  // it.
  Result<void> stop(int exit_code);

  std::uint32_t brain_generation() const noexcept;
  pid_t keeper_pid() const noexcept;
  std::uint64_t started_ns() const noexcept;         // of the system, CLOCK_MONOTONIC
  std::uint64_t nofile_soft_limit() const noexcept;  // for children: the keeper raised ours

 private:
  KeeperClient() = default;
  const keeper_layout::Header& header() const noexcept;
  Result<void> make_bell();
  void inherit_store();
  Result<void> ask(keeper_layout::Request&, int fd);
  Result<keeper_layout::Reply> await_answer(std::uint32_t sequence);
  void send_acknowledgement() noexcept;

  struct Inherited {
    base::UniqueFd fd;
    std::uint64_t order;
  };

  base::MappedRegion page_;
  base::UniqueFd socket_;
  base::UniqueFd
      swallowed_bell_;   // an eventfd for bells that were read while waiting for an answer
  base::UniqueFd bell_;  // an epoll of both
  std::map<std::string, Inherited, std::less<>> inherited_;
  std::uint32_t next_sequence_ = 1;
  std::uint64_t next_exit_ = 0;
  std::uint64_t settled_ = 0;       // carried out and saved
  std::uint64_t acknowledged_ = 0;  // told to the keeper
};

}  // namespace bulkhead::supervisor
