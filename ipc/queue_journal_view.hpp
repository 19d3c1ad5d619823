// A journal as its readers see it: checks that a descriptor is one, and reads its figures. Used by the brain
// for status, and by QueueJournal to begin; changes nothing.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>

#include "base/mapped_region.hpp"
#include "ipc/queue_layout.hpp"

namespace bulkhead::ipc {

// Reads the header once. Errors: protocol_violation (no journal, wrong size), version_mismatch.
[[nodiscard]] Result<JournalShape> check_journal(int fd, const base::MappedRegion&);

class QueueJournalView {
 public:
  static Result<QueueJournalView> map(int fd);  // borrowed

  // Figures that a dispatcher wrote, so whatever it pleased: 0 for a worker that there is not.
  std::uint64_t pushed() const noexcept;
  std::uint64_t outstanding() const noexcept;  // pushed and not over
  std::uint64_t given_up_by(std::uint32_t worker) const noexcept;
  std::uint32_t workers() const noexcept { return shape_.workers; }  // that it has a tally for

 private:
  QueueJournalView(base::MappedRegion region, JournalShape shape) noexcept
      : region_(std::move(region)), shape_(shape) {}
  const JournalPage& page() const noexcept {
    return *reinterpret_cast<const JournalPage*>(region_.data());
  }

  base::MappedRegion region_;
  JournalShape shape_;
};

}  // namespace bulkhead::ipc
