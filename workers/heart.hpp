// The worker's sign of life: a page of its own that the brain maps (ipc/worker_pages.hpp). Used by
// ControlLink. Must not know the control protocol.
#pragma once

#include <bulkhead/error.hpp>

#include "base/fd.hpp"
#include "base/mapped_region.hpp"
#include "ipc/worker_pages.hpp"

namespace bulkhead::workers {

// Threads: beats may come from any thread; whichever went to sleep or woke last decides the phase.
class Heart {
 public:
  [[nodiscard]] static Result<Heart> open(std::uint32_t generation);

  void belongs_to(std::uint32_t generation) noexcept;  // a spare's becomes an instance's

  void beat() noexcept;
  void started() noexcept;  // from here on a silence is a hang
  void sleeping(bool) noexcept;
  int page_fd() const noexcept { return fd_.get(); }

 private:
  ipc::BeatPage& page() const noexcept { return *reinterpret_cast<ipc::BeatPage*>(region_.data()); }

  base::UniqueFd fd_;
  base::MappedRegion region_;
};

}  // namespace bulkhead::workers
