// One descriptor for the event loop of a user, readable while a call may have something to say. It stands for what
// would be polled instead, which changes with each connection. Used by Endpoint; knows no link.
#pragma once

#include <array>
#include <memory>

#include "base/fd.hpp"

namespace bulkhead::ipc {

// Threads: one.
class Lookout {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Lookout>> open();  // with a look() to begin with

  int fd() const noexcept { return poll_.get(); }
  void look() noexcept;  // readable until the next watch()
  // After look(): readable when one of these is, or -1 for none. Borrowed until the next look().
  void watch(int link, int attention) noexcept;
  bool is_watching() const noexcept { return watching_; }

 private:
  Lookout(base::UniqueFd poll, base::UniqueFd bell) noexcept
      : poll_(std::move(poll)), bell_(std::move(bell)) {}
  bool add(int fd) noexcept;
  void forget() noexcept;

  const base::UniqueFd poll_, bell_;  // an epoll, and an eventfd in it
  std::array<int, 2> watched_{-1, -1};
  bool watching_ = false;
};

}  // namespace bulkhead::ipc
