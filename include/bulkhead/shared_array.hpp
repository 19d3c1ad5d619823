// An array in memory that a pool's workers map instead of getting a copy.
#pragma once

#include <bulkhead/detail/task_body.hpp>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

namespace bulkhead {
namespace detail {
class SharedMemory;
Result<std::shared_ptr<SharedMemory>> make_shared_memory(std::string_view name, std::size_t bytes);
std::span<std::byte> bytes_of(const SharedMemory&) noexcept;
void write_shared(BodyWriter&, const std::shared_ptr<SharedMemory>&);
// Errors: protocol_violation when it is smaller.
Result<std::shared_ptr<SharedMemory>> read_shared(BodyReader&, std::size_t bytes, bool writable);
}  // namespace detail

// Purpose: an argument of tasks that is mapped once per worker, by descriptor, and never copied.
// Shape: `count` elements of a plain type, zero at first, in one piece, beginning at a page.
//   SharedArray<const T> is the same memory, mapped read-only by workers: a write there is a crash of that task.
// Threads: as an array. Tasks that write at the same time write to ranges that do not overlap; get() of
//   their futures, or the end of a map, makes what they wrote visible to the caller.
// Ownership: copies share the memory, which lasts as long as the last of them in any process.
// After a crash of a worker: what it had written stays, an element that it was writing may be half written;
//   a task that is run again overwrites it.
template <class T>
class SharedArray {
 public:
  using Element = std::remove_const_t<T>;
  static_assert(detail::Plain<Element>,
                "a SharedArray holds values without pointers and references");

  // `name` shows in /proc/PID/maps. Errors: invalid_argument for none; not_enough_memory of the system when the
  // memory cannot be had: it is all allocated here, so that no access fails later.
  [[nodiscard]] static Result<SharedArray> create(std::size_t count,
                                                  std::string_view name = "array") {
    if (count == 0 || count > SIZE_MAX / sizeof(T)) {
      return make_error(Errc::invalid_argument, "a SharedArray of " + std::to_string(count) +
                                                    " elements of " + std::to_string(sizeof(T)) +
                                                    " bytes");
    }
    auto memory = detail::make_shared_memory(name, count * sizeof(T));
    if (!memory) return memory.error();
    return SharedArray(std::move(*memory), count);
  }
  // The same memory for tasks that only read.
  SharedArray<const Element> read_only() const {
    return SharedArray<const Element>(memory_, count_);
  }

  std::size_t size() const noexcept { return count_; }
  std::span<T> span() const noexcept {
    return {reinterpret_cast<T*>(detail::bytes_of(*memory_).data()), count_};
  }
  T& operator[](std::size_t index) const noexcept { return span()[index]; }
  T* begin() const noexcept { return span().data(); }
  T* end() const noexcept { return span().data() + count_; }

 private:
  template <class U>
  friend class SharedArray;
  friend struct detail::Body<SharedArray>;
  SharedArray(std::shared_ptr<detail::SharedMemory> memory, std::size_t count) noexcept
      : memory_(std::move(memory)), count_(count) {}

  std::shared_ptr<detail::SharedMemory> memory_;
  std::size_t count_;
};

template <class T>
struct detail::Body<SharedArray<T>> {
  static void write(BodyWriter& to, const SharedArray<T>& array) {
    to.write(std::uint64_t{array.size()});
    write_shared(to, array.memory_);
  }
  static Result<SharedArray<T>> read(BodyReader& from) {
    const auto count = from.read<std::uint64_t>();
    if (!count) return count.error();
    if (*count > SIZE_MAX / sizeof(T)) return body_too_short();
    auto memory = read_shared(from, *count * sizeof(T), !std::is_const_v<T>);
    if (!memory) return memory.error();
    return SharedArray<T>(std::move(*memory), *count);
  }
};

}  // namespace bulkhead
