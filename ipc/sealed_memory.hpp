// The memory behind SealedBuffer and SealedDraft, and the check that nobody can change it. Used by those two and
// by the supervisor, which keeps what workers publish; knows nothing of what is in it.
//
// A file of memory is sealed when it has F_SEAL_WRITE, SHRINK, GROW and SEAL. The kernel grants the first only
// while no writable mapping of it exists, anywhere, so what has it is immutable (fcntl(2), "File Sealing").
#pragma once

#include <bulkhead/sealed.hpp>
#include <utility>

#include "base/fd.hpp"
#include "base/mapped_region.hpp"

namespace bulkhead::ipc {

// The size of the file, once it is known to be immutable. Errors: as SealedBuffer::open.
[[nodiscard]] Result<std::size_t> check_sealed(int fd);

class SealedMemory {
 public:
  SealedMemory(base::UniqueFd fd, base::MappedRegion region) noexcept
      : fd_(std::move(fd)), region_(std::move(region)) {}
  std::span<const std::byte> bytes() const noexcept { return {region_.data(), region_.size()}; }
  int fd() const noexcept { return fd_.get(); }

 private:
  base::UniqueFd fd_;
  base::MappedRegion region_;
};

struct DraftMemory {
  base::UniqueFd fd;
  base::MappedRegion region;
};

}  // namespace bulkhead::ipc
