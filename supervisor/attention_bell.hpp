// The page through which the brain interrupts a worker's sleep: one futex word, shared read-only
// with the worker. Kept in the keeper's store, so that the brain's successor rings the same bell.
#pragma once

#include <bulkhead/error.hpp>

#include "base/fd.hpp"

namespace bulkhead::supervisor {

// Ownership: the mapping and the descriptor. After a crash of the brain: the word keeps its value.
class AttentionBell {
 public:
  static Result<AttentionBell> create(const std::string& name);
  static Result<AttentionBell> adopt(base::UniqueFd fd);
  AttentionBell(AttentionBell&&) noexcept;
  AttentionBell& operator=(AttentionBell&&) noexcept;
  ~AttentionBell();

  int fd() const noexcept { return fd_.get(); }
  // A descriptor of its own that cannot be mapped writable by accident.
  Result<base::UniqueFd> read_only() const;

  // Changes the word and wakes every sleeper. Never blocks.
  void bump() noexcept;

 private:
  AttentionBell(base::UniqueFd fd, void* address) noexcept;

  base::UniqueFd fd_;
  void* address_ = nullptr;
};

}  // namespace bulkhead::supervisor
