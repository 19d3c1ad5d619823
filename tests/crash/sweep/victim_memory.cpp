#include "tests/crash/sweep/victim_memory.hpp"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

constexpr std::size_t arena_bytes = std::size_t{1} << 20;
constexpr std::size_t alignment = alignof(std::max_align_t);

alignas(4096) std::array<std::byte, arena_bytes> arena;
std::size_t used = 0;
bool in_victim = false;

void* take(std::size_t bytes) noexcept {
  const std::size_t rounded = (bytes + alignment - 1) & ~(alignment - 1);
  if (arena_bytes - used < rounded) std::abort();  // seen by the tracer as a point not reached
  void* const place = arena.data() + used;
  used += rounded;
  return place;
}

}  // namespace

void bulkhead::sweep::begin_victim_memory() noexcept { in_victim = true; }
bool bulkhead::sweep::is_victim() noexcept { return in_victim; }

void* operator new(std::size_t bytes) {
  if (in_victim) return take(bytes);
  if (void* const place = std::malloc(bytes)) return place;
  throw std::bad_alloc();
}
void operator delete(void* place) noexcept {
  if (!in_victim) std::free(place);
}
void operator delete(void* place, std::size_t) noexcept { operator delete(place); }
