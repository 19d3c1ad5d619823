// Memory that owner and workers map, writable on both sides: what SharedArray stands on, and the ledgers of ranges.
#pragma once

#include <bulkhead/shared_array.hpp>

#include "base/fd.hpp"
#include "base/mapped_region.hpp"

namespace bulkhead::detail {

class SharedMemory {
 public:
  SharedMemory(std::uint64_t number, base::UniqueFd fd, base::MappedRegion region) noexcept
      : number_(number), fd_(std::move(fd)), region_(std::move(region)) {}

  // The size is sealed: nobody can take pages away from under a mapping.
  static Result<std::shared_ptr<SharedMemory>> open(std::uint64_t number, base::UniqueFd fd,
                                                    bool writable);

  std::uint64_t number() const noexcept { return number_; }
  int fd() const noexcept { return fd_.get(); }
  std::span<std::byte> bytes() const noexcept { return {region_.data(), region_.size()}; }

 private:
  std::uint64_t number_;
  base::UniqueFd fd_;
  base::MappedRegion region_;
};

Attachment attachment_of(const std::shared_ptr<SharedMemory>&);

}  // namespace bulkhead::detail
