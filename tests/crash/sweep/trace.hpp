// The instructions that an operation executes between its marks, as calibration recorded them. Used by
// the tracer and the runner; knows no operation.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace bulkhead::sweep {

// A place just before an instruction, or between two repeats of one `rep` instruction.
struct Point {
  std::uint64_t address = 0;
  std::uint32_t occurrence = 0;  // how often the operation entered this instruction before
  std::uint32_t repeat = 0;      // iterations that the `rep` instruction has done
  std::uint64_t count_left = 0;  // rcx, where repeat is not 0
};

// Shared mappings: fork() copies no page tables for them, so that megabytes of traces cost victims nothing.
template <class T>
struct SharedAllocator {
  using value_type = T;
  using is_always_equal = std::true_type;
  T* allocate(std::size_t count) {
    void* memory =
        mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t count) noexcept { munmap(memory, count * sizeof(T)); }
  bool operator==(const SharedAllocator&) const noexcept { return true; }
};

struct Trace {
  static constexpr std::size_t never = ~std::size_t{0};

  std::vector<Point, SharedAllocator<Point>> points;
  std::size_t sleeps_at = never;  // the system call that Operation::wake() must precede

  bool sleeps() const noexcept { return sleeps_at != never; }
  // Where a victim can be killed: before each instruction, after the last one; asleep in the kernel,
  // and woken there.
  std::size_t kill_points() const noexcept { return points.size() + 1 + (sleeps() ? 2 : 0); }
  std::size_t end() const noexcept { return points.size(); }
  std::size_t asleep() const noexcept { return points.size() + 1; }
  std::size_t woken() const noexcept { return points.size() + 2; }
};

}  // namespace bulkhead::sweep
