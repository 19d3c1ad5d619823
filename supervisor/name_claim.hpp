// Which file a name in the file system stands for, so that an end removes only what its start made: by then
// somebody may have put another file there. Used by launch and keeper; knows nothing of what the file is.
#pragma once

#include <sys/types.h>

namespace bulkhead::supervisor {

class NameClaim {
 public:
  void take(const char* path) noexcept;  // the file that lies there now
  void take(int fd) noexcept;            // the file that is open
  // Removes the name if it still stands for that file.
  void remove(const char* path) const noexcept;

 private:
  bool is_taken_ = false;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace bulkhead::supervisor
