// A shared mapping of a memory file with one owner.
#pragma once

#include <bulkhead/error.hpp>
#include <cstddef>
#include <span>
#include <utility>

namespace bulkhead::base {

// `sealed`: of a file that nobody can write to any more (F_SEAL_WRITE). It is mapped privately, since Linux
// before 6.7 refuses a shared mapping of such a file even for reading; the pages are the same.
enum class Access { read_only, read_write, sealed };

// Every mapping but a sealed one is MADV_DONTFORK: a forked child that inherited one could write on
// after its parent's death was confirmed. (A vfork child shares the memory itself and sees it.)
class MappedRegion {
 public:
  static Result<MappedRegion> map(int fd, std::size_t bytes, Access);  // bytes > 0

  MappedRegion() noexcept = default;
  MappedRegion(MappedRegion&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  MappedRegion& operator=(MappedRegion&& other) noexcept;
  ~MappedRegion();

  std::byte* data() const noexcept { return address_; }
  std::size_t size() const noexcept { return bytes_; }

 private:
  MappedRegion(std::byte* address, std::size_t bytes) noexcept : address_(address), bytes_(bytes) {}
  std::byte* address_ = nullptr;
  std::size_t bytes_ = 0;
};

Result<std::size_t> file_size(int fd);

}  // namespace bulkhead::base
