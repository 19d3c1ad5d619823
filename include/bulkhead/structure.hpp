// Maps, vectors and strings in sealed memory: built once by one process, read in place by any number.
//
// The containers are Boost.Interprocess's, whose offset pointers hold at any address. Nothing is decoded and
// nothing copied: a reader's first look at a structure of gigabytes costs one mapping.
#pragma once

#include <bulkhead/error.hpp>
#include <bulkhead/sealed.hpp>

#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/indexes/null_index.hpp>
#include <boost/interprocess/managed_external_buffer.hpp>
#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>
#include <boost/version.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace bulkhead {

// One process builds, and nobody can write afterwards: no lock and no index of names is needed.
using StructureMemory = boost::interprocess::basic_managed_external_buffer<
    char, boost::interprocess::rbtree_best_fit<boost::interprocess::null_mutex_family>,
    boost::interprocess::null_index>;
// For the containers in a structure, of boost::container or boost::interprocess; any of them converts
// to any other. Two containers that hold others need scoped_allocator_adaptor or the allocator by hand.
template <class T>
using StructureAllocator = boost::interprocess::allocator<T, StructureMemory::segment_manager>;

namespace detail {

//   0            64
//   | the head | Boost's memory: managed_bytes, with the root somewhere in it |
struct alignas(64) StructureHead {
  static constexpr std::uint64_t magic_value = 0x31'5453'4b48'4c42;  // "BLHKST1"
  std::uint64_t magic;
  std::uint64_t type;  // see structure_type_hash()
  std::uint64_t managed_bytes;
  std::uint64_t root;  // from the beginning of the buffer
};
static_assert(sizeof(StructureHead) == 64);

// FNV-1a over what two programs must agree on to read the same bytes: the type's name and shape, and the
// release of Boost, whose containers may change from one to the next.
template <class Root>
std::uint64_t structure_type_hash() noexcept {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  const auto mix = [&hash](std::uint64_t value) { hash = (hash ^ value) * 0x100'0000'01b3; };
  for (const char* c = typeid(Root).name(); *c != '\0'; ++c) mix(static_cast<unsigned char>(*c));
  mix(sizeof(Root));
  mix(alignof(Root));
  mix(BOOST_VERSION);
  return hash;
}

template <class Root>
constexpr void check_root() {
  static_assert(
      std::is_class_v<Root> && !std::is_polymorphic_v<Root>,
      "a structure's root is a class without virtual functions: their table lies elsewhere "
      "in each process");
  static_assert(alignof(Root) <= 4096,
                "a structure begins at a page: no alignment beyond that holds");
}

template <class Root>
Root* make_root(void* place, const StructureAllocator<std::byte>& allocator) {
  if constexpr (std::is_constructible_v<Root, const StructureAllocator<std::byte>&>) {
    return new (place) Root(allocator);
  } else {
    return new (place) Root();
  }
}

}  // namespace detail

// Purpose: builds a structure. `build(root, allocator)` fills it; it returns nothing, or a Result<void>.
//   Root is made with the allocator where it can be, else by default.
// Shape: what Root holds must point with offset pointers (containers with StructureAllocator do) and
//   into the structure only; a plain pointer or reference in it means nothing to a reader.
// Blocking: no. Errors: what `build` returned; out_of_budget when `bytes_max` does not suffice, and
//   nothing is left of it; what SealedDraft reports. What else `build` throws passes through.
// After a crash: there is no structure before this returns, and a whole one after it.
template <class Root, class Build>
[[nodiscard]] Result<SealedBuffer> build_structure(std::string_view name, std::size_t bytes_max,
                                                   Build&& build) {
  detail::check_root<Root>();
  using detail::StructureHead;
  const auto too_small = [&] {
    return make_error(Errc::out_of_budget, std::string(name) + ": needs more than its " +
                                               std::to_string(bytes_max) + " bytes");
  };
  if (bytes_max < sizeof(StructureHead) + StructureMemory::segment_manager::get_min_size()) {
    return too_small();
  }
  auto draft = SealedDraft::create(name, bytes_max);
  if (!draft) return draft.error();
  const auto bytes = draft->bytes();
  StructureHead head{StructureHead::magic_value, detail::structure_type_hash<Root>(), 0, 0};
  try {
    StructureMemory memory(boost::interprocess::create_only, bytes.data() + sizeof head,
                           bytes_max - sizeof head);
    const StructureAllocator<std::byte> allocator(memory.get_segment_manager());
    void* const place = memory.allocate_aligned(sizeof(Root), alignof(Root));
    Root* const root = detail::make_root<Root>(place, allocator);
    if constexpr (std::is_void_v<std::invoke_result_t<Build&, Root&, decltype(allocator)&>>) {
      build(*root, allocator);
    } else {
      const Result<void> built = build(*root, allocator);
      if (!built) return built.error();
    }
    memory.get_segment_manager()->shrink_to_fit();
    head.managed_bytes = memory.get_size();
    head.root = static_cast<std::uint64_t>(reinterpret_cast<std::byte*>(root) - bytes.data());
  } catch (const boost::interprocess::bad_alloc&) {
    return too_small();
  }
  std::memcpy(bytes.data(), &head, sizeof head);
  return std::move(*draft).seal(sizeof head + head.managed_bytes);
}

// Purpose: a structure, to read. Threads: any. Ownership: keeps the memory; copies share it.
// Trust: who built it is believed. Offset pointers that were made to lie lead out of the memory, so from a
//   peer that may be hostile take flat bytes (SealedBuffer), which can be checked once and for all.
template <class Root>
class Structure {
 public:
  // Errors: protocol_violation for a buffer that is no structure; version_mismatch for one of another type,
  //   or built with another release of Boost.
  [[nodiscard]] static Result<Structure> open(SealedBuffer buffer) {
    detail::check_root<Root>();
    using detail::StructureHead;
    const auto bytes = buffer.bytes();
    StructureHead head{};
    if (bytes.size() >= sizeof head) std::memcpy(&head, bytes.data(), sizeof head);
    if (head.magic != StructureHead::magic_value ||
        head.managed_bytes != bytes.size() - sizeof head) {
      return make_error(Errc::protocol_violation, "sealed memory that is no structure");
    }
    if (head.type != detail::structure_type_hash<Root>()) {
      return make_error(Errc::version_mismatch, std::string("a structure that is not of type ") +
                                                    typeid(Root).name() +
                                                    ", or was built with another release of Boost");
    }
    if (bytes.size() < sizeof head + sizeof(Root) || head.root < sizeof head ||
        head.root > bytes.size() - sizeof(Root) || head.root % alignof(Root) != 0) {
      return make_error(Errc::protocol_violation, "a structure whose root lies outside of it");
    }
    const auto* const root = reinterpret_cast<const Root*>(bytes.data() + head.root);
    return Structure(std::move(buffer), root);
  }

  const Root& operator*() const noexcept { return *root_; }
  const Root* operator->() const noexcept { return root_; }
  const SealedBuffer& buffer() const noexcept { return buffer_; }

 private:
  Structure(SealedBuffer buffer, const Root* root) noexcept
      : buffer_(std::move(buffer)), root_(root) {}

  SealedBuffer buffer_;
  const Root* root_;
};

}  // namespace bulkhead
