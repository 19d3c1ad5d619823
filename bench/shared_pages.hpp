// Zeroed memory that a benchmark shares with the process that it forks.
#pragma once

#include <sys/mman.h>
#include <bulkhead/error.hpp>

#include <cerrno>
#include <cstddef>
#include <memory>

namespace bulkhead::bench {

// Shared with the child of a fork, which base::MappedRegion is made not to be.
class SharedPages {
 public:
  static Result<std::unique_ptr<SharedPages>> map(std::size_t bytes) {
    void* const address =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) return errno_error(errno, "map memory for a baseline");
    return std::unique_ptr<SharedPages>(new SharedPages(address, bytes));
  }
  ~SharedPages() { ::munmap(address_, bytes_); }
  SharedPages(const SharedPages&) = delete;
  SharedPages& operator=(const SharedPages&) = delete;
  std::byte* data() const noexcept { return static_cast<std::byte*>(address_); }

 private:
  SharedPages(void* address, std::size_t bytes) noexcept : address_(address), bytes_(bytes) {}
  void* address_;
  std::size_t bytes_;
};

}  // namespace bulkhead::bench
