// The owner's side of its pool's zygote: starts it, asks for workers, hears of their deaths. Used by the dispatcher.
// One thread at a time.
#pragma once

#include <bulkhead/error.hpp>
#include <optional>
#include <span>
#include <string>

#include "base/child_process.hpp"
#include "pool/zygote_wire.hpp"

namespace bulkhead::pool {

class Zygote {
 public:
  // Blocking: until it has said what program it is, about 2 ms. Errors: not_permitted when Pool::entry() was not called;
  // exec_failed; version_mismatch when the program's file is another one by now.
  // `processors`: the share of each worker, for pools and OpenMP within it.
  static Result<Zygote> start(unsigned processors);

  Zygote(Zygote&&) noexcept = default;
  Zygote& operator=(Zygote&&) noexcept = default;
  // Waits until it has ended every process that is left of its workers, and itself. Where it was killed, ends what its
  // workers had started, which nobody else does then.
  ~Zygote();

  int socket() const noexcept { return socket_.get(); }
  // The answer comes as a word. Errors: closed when the zygote is no more.
  Result<void> order(const BirthOrder&, std::span<const int> fds);
  struct Heard {
    ZygoteWord word;
    base::UniqueFd pidfd;  // of who was born
  };
  // nullopt: it has nothing to say. Errors: closed, and all workers are gone with it.
  Result<std::optional<Heard>> hear();

 private:
  Zygote(base::ChildProcess child, base::UniqueFd socket, std::string cookie) noexcept
      : child_(std::move(child)), socket_(std::move(socket)), cookie_(std::move(cookie)) {}

  base::ChildProcess child_;
  base::UniqueFd socket_;  // its end is the order to go
  std::string cookie_;     // "NAME=VALUE" in the environment of all that descends from it
};

// How many processors this process may use: those of its affinity, or its share of them if it is a pool's worker.
unsigned usable_processors() noexcept;

// By Pool::entry(): from now on this program can be started again as a zygote.
void allow_zygotes(const char* name) noexcept;

}  // namespace bulkhead::pool
