// Each collective once, on values that are known everywhere, held against what a single process computes. Used by the
// tests of right results and by those in which a rank is killed.
#pragma once

#include <bulkhead/spmd.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bulkhead::test {

enum class Kind : std::uint8_t {
  barrier,
  broadcast,
  scatter,
  gather,
  all_gather,
  reduce,
  all_reduce,
  scan,
  all_to_all,
};
inline constexpr Kind all_kinds[] = {Kind::barrier,    Kind::broadcast,  Kind::scatter,
                                     Kind::gather,     Kind::all_gather, Kind::reduce,
                                     Kind::all_reduce, Kind::scan,       Kind::all_to_all};
inline const char* name_of(Kind kind) {
  constexpr const char* names[] = {"barrier", "broadcast",  "scatter", "gather",    "all_gather",
                                   "reduce",  "all_reduce", "scan",    "all_to_all"};
  return names[static_cast<std::size_t>(kind)];
}

using Values = std::vector<std::uint64_t>;

inline std::uint64_t value_of(std::size_t rank, std::size_t index) {
  return (rank + 1) * 0x9e3779b97f4a7c15 ^ (index + 7) * 0xbf58476d1ce4e5b9;
}
// Of ranks [begin, end), `count` each, one after the other.
inline Values values_of(std::size_t begin, std::size_t end, std::size_t count,
                        std::size_t first = 0) {
  Values values;
  for (std::size_t rank = begin; rank < end; ++rank) {
    for (std::size_t i = 0; i < count; ++i) values.push_back(value_of(rank, first + i));
  }
  return values;
}

// Associative and not commutative: composes x -> a x + b, with a in the low half.
struct Compose {
  std::uint64_t operator()(std::uint64_t left, std::uint64_t right) const noexcept {
    const auto a = static_cast<std::uint32_t>(left), b = static_cast<std::uint32_t>(left >> 32);
    const auto c = static_cast<std::uint32_t>(right), d = static_cast<std::uint32_t>(right >> 32);
    return std::uint64_t{b * c + d} << 32 | std::uint32_t{a * c};
  }
};
inline Values composed(std::size_t ranks, std::size_t count) {
  Values values = values_of(0, 1, count);
  for (std::size_t rank = 1; rank < ranks; ++rank) {
    for (std::size_t i = 0; i < count; ++i) {
      values[i] = Compose()(values[i], value_of(rank, i));
    }
  }
  return values;
}

// Whether it came out right, if it came out.
inline Result<bool> collect(Kind kind, Communicator& group, std::size_t count, unsigned root = 0,
                            Deadline deadline = Deadline::never()) {
  const std::size_t rank = group.rank(), ranks = group.size();
  const bool is_root = rank == root;
  const Values mine = values_of(rank, rank + 1, count);
  Values got, right;
  Result<void> done;
  switch (kind) {
    case Kind::barrier: done = group.barrier(deadline); break;
    case Kind::broadcast:
      got = mine;
      right = values_of(root, root + 1, count);
      done = group.broadcast(got, root, deadline);
      break;
    case Kind::scatter:
      got.resize(count);
      right = mine;
      done = group.scatter(is_root ? values_of(0, ranks, count) : Values(), got, root, deadline);
      break;
    case Kind::gather:
      if (is_root) right = values_of(0, ranks, count);
      got.resize(right.size());
      done = group.gather(mine, got, root, deadline);
      break;
    case Kind::all_gather:
      right = values_of(0, ranks, count);
      got.resize(right.size());
      done = group.all_gather(mine, got, deadline);
      break;
    case Kind::reduce:
      if (is_root) right = composed(ranks, count);
      got.resize(right.size());
      done = group.reduce(mine, got, Compose(), root, deadline);
      break;
    case Kind::all_reduce:
      got = mine;  // in place
      right = composed(ranks, count);
      done = group.all_reduce(got, got, Compose(), deadline);
      break;
    case Kind::scan:
      right = composed(rank + 1, count);
      got.resize(count);
      done = group.scan(mine, got, Compose(), deadline);
      break;
    case Kind::all_to_all:
      for (std::size_t from = 0; from < ranks; ++from) {
        const auto part = values_of(from, from + 1, count, rank * count);
        right.insert(right.end(), part.begin(), part.end());
      }
      got.resize(right.size());
      done = group.all_to_all(values_of(rank, rank + 1, count * ranks), got, deadline);
      break;
  }
  if (!done) return done.error();
  return got == right;
}

}  // namespace bulkhead::test
