// A collective operation in bytes, as the templates of <bulkhead/spmd.hpp> hand it to whoever carries it out: the one
// place through which a communicator talks to its group. Included by that header; include that one. Knows nothing of
// memory and processes.
#pragma once

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/task_body.hpp>
#include <bulkhead/error.hpp>
#include <bulkhead/shared_array.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ranges>
#include <span>
#include <typeinfo>
#include <utility>

namespace bulkhead::detail {

class SpmdGroup;

enum class CollectiveKind : std::uint32_t {
  barrier = 1,
  broadcast,
  scatter,
  gather,
  all_gather,
  reduce,
  all_reduce,
  scan,
  all_to_all,
  refused,  // called with arguments that cannot be
};

struct Collective {
  CollectiveKind kind = CollectiveKind::barrier;
  std::uint32_t root = 0;  // 0 where there is none
  std::size_t element_bytes = 1;
  const char* type = "";       // of the elements, mangled
  const char* operation = "";  // likewise
  std::span<const std::byte> from;
  std::span<std::byte> to;
  // into[i] = operation(into[i], with[i]) for `count` elements.
  void (*fold)(void* operation, std::byte* into, const std::byte* with,
               std::size_t count) = nullptr;
  void* folder = nullptr;
};

// The calling rank's part; returns when it is over. Errors: as Communicator says.
Result<void> carry_out(SpmdGroup&, const Collective&, Deadline);
std::uint32_t rank_in(const SpmdGroup&) noexcept;
std::uint32_t size_of(const SpmdGroup&) noexcept;
// The rank takes no part any more; `by_exception`: since its function threw.
void leave(SpmdGroup&, bool by_exception) noexcept;
// The caller's end of the group in that memory. Errors: protocol_violation when there is none.
Result<std::shared_ptr<SpmdGroup>> join_group(const SharedArray<std::byte>&, std::uint32_t rank);

inline constexpr std::size_t spmd_element_bytes_max = 4096;

template <class T>
concept SpmdElement = Plain<T> && sizeof(T) <= spmd_element_bytes_max && alignof(T) <= 64;
template <class T>
concept SpmdValue = SpmdElement<T> && !std::ranges::range<T>;
template <class R>
concept SpmdRange = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
    SpmdElement<std::ranges::range_value_t<R>>;
template <class From, class To>
concept SpmdRanges = SpmdRange<From> && SpmdRange<To> &&
    std::same_as<std::ranges::range_value_t<From>, std::ranges::range_value_t<To>>;

template <class T>
Collective collective_of(CollectiveKind kind, std::uint32_t root, std::span<const T> from,
                         std::span<T> to) {
  Collective call;
  call.kind = kind;
  call.root = root;
  call.element_bytes = sizeof(T);
  call.type = typeid(T).name();
  call.from = std::as_bytes(from);
  call.to = std::as_writable_bytes(to);
  return call;
}

template <class T, class Operation>
Collective folding_of(CollectiveKind kind, std::uint32_t root, std::span<const T> from,
                      std::span<T> to, Operation& operation) {
  Collective call = collective_of<T>(kind, root, from, to);
  call.operation = typeid(Operation).name();
  call.folder = &operation;
  call.fold = [](void* folder, std::byte* into, const std::byte* with, std::size_t count) {
    auto& combine = *static_cast<Operation*>(folder);
    auto* const left = reinterpret_cast<T*>(into);
    const auto* const right = reinterpret_cast<const T*>(with);
    for (std::size_t i = 0; i < count; ++i) left[i] = static_cast<T>(combine(left[i], right[i]));
  };
  return call;
}

// What is given as a range, and one value, as a span.
template <SpmdRange R>
auto input_of(const R& range) {
  return std::span<const std::ranges::range_value_t<R>>(std::ranges::data(range),
                                                        std::ranges::size(range));
}
template <class R>
auto output_of(R& range) {
  return std::span<std::ranges::range_value_t<R>>(std::ranges::data(range),
                                                  std::ranges::size(range));
}

}  // namespace bulkhead::detail
