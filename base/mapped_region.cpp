#include "base/mapped_region.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

namespace bulkhead::base {

Result<MappedRegion> MappedRegion::map(int fd, std::size_t bytes, Access access) {
  const int protection = access == Access::read_write ? PROT_READ | PROT_WRITE : PROT_READ;
  const int kind = access == Access::sealed ? MAP_PRIVATE : MAP_SHARED;
  void* address = ::mmap(nullptr, bytes, protection, kind, fd, 0);
  if (address == MAP_FAILED) {
    return errno_error(
        errno, "map " + std::to_string(bytes) + " bytes of descriptor " + std::to_string(fd));
  }
  MappedRegion region(static_cast<std::byte*>(address), bytes);
  if (access != Access::sealed && ::madvise(address, bytes, MADV_DONTFORK) != 0) {
    return errno_error(errno, "keep a mapping out of forked children");
  }
  return region;
}

MappedRegion& MappedRegion::operator=(MappedRegion&& other) noexcept {
  if (this != &other) {
    if (address_ != nullptr) ::munmap(address_, bytes_);
    address_ = std::exchange(other.address_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

MappedRegion::~MappedRegion() {
  if (address_ != nullptr) ::munmap(address_, bytes_);
}

Result<std::size_t> file_size(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0)
    return errno_error(errno, "look at descriptor " + std::to_string(fd));
  return static_cast<std::size_t>(status.st_size);
}

}  // namespace bulkhead::base
