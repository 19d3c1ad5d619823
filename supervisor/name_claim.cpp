#include "supervisor/name_claim.hpp"

#include <sys/stat.h>
#include <unistd.h>

namespace bulkhead::supervisor {

void NameClaim::take(const char* path) noexcept {
  struct stat status {};
  is_taken_ = ::lstat(path, &status) == 0;
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

void NameClaim::take(int fd) noexcept {
  struct stat status {};
  is_taken_ = ::fstat(fd, &status) == 0;
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

void NameClaim::remove(const char* path) const noexcept {
  struct stat status {};
  if (!is_taken_ || ::lstat(path, &status) != 0) return;
  if (status.st_dev == device_ && status.st_ino == inode_) (void)::unlink(path);
}

}  // namespace bulkhead::supervisor
