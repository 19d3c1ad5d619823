// Memory that victims write and the tracer reads: how far an operation came. Survives every victim. Used
// by operations and by the crew.
#pragma once

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <new>

namespace bulkhead::sweep {

// What keeps the sweep itself from going on: a broken machine, never a finding.
[[noreturn]] inline void give_up(const char* what) {
  std::perror(what);
  std::exit(2);
}

// Zeroed; inherited by forked children.
template <class T>
class Shared {
 public:
  Shared() {
    void* memory =
        mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) give_up("sweep: map shared memory");
    value_ = new (memory) T;
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { munmap(value_, sizeof(T)); }

  T* operator->() const noexcept { return value_; }
  T& operator*() const noexcept { return *value_; }

 private:
  T* value_;
};

}  // namespace bulkhead::sweep
