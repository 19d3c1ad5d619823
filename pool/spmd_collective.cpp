// The collectives as steps of a group. In each step every rank may put a piece into its buffer, and after it take from the
// pieces of all; what is longer than a piece takes several.
#include <algorithm>
#include <cstring>
#include <string>

#include "pool/spmd_group.hpp"

namespace bulkhead::detail {
namespace {

using Kind = CollectiveKind;

// How much each rank's part is, and how much of it one step moves, in bytes.
struct Shape {
  std::size_t part = 0;
  std::size_t stride = 0;
  std::string flaw;  // why the arguments cannot be
};

bool is_for_each(Kind kind) noexcept { return kind == Kind::scatter || kind == Kind::all_to_all; }

Shape shape_of(const SpmdGroup& group, const Collective& call) {
  const std::size_t from = call.from.size(), to = call.to.size(), ranks = group.size();
  const bool is_root = call.root == group.rank();
  Shape shape;
  std::size_t from_wanted = from, to_wanted = to;
  switch (call.kind) {
    case Kind::barrier: break;
    case Kind::broadcast: shape.part = to; break;
    case Kind::scatter:
      shape.part = to;
      if (is_root) from_wanted = to * ranks;
      break;
    case Kind::gather:
    case Kind::all_gather:
      shape.part = from;
      if (is_root || call.kind == Kind::all_gather) to_wanted = from * ranks;
      break;
    case Kind::reduce:
    case Kind::all_reduce:
    case Kind::scan:
      shape.part = from;
      if (is_root || call.kind != Kind::reduce) to_wanted = from;
      break;
    case Kind::all_to_all:
      shape.part = from / call.element_bytes / ranks * call.element_bytes;
      from_wanted = shape.part * ranks;
      to_wanted = from;
      break;
    case Kind::refused: break;
  }
  const auto elements = [&](std::size_t bytes) {
    return std::to_string(bytes / call.element_bytes);
  };
  if (call.root >= ranks) {
    shape.flaw = "root " + std::to_string(call.root) + " of " + std::to_string(ranks) + " ranks";
  } else if (from != from_wanted) {
    shape.flaw = elements(from) + " elements to send, where " + elements(from_wanted) + " fit";
  } else if (to != to_wanted) {
    shape.flaw = "room for " + elements(to) + " elements, where " + elements(to_wanted) + " come";
  }
  const std::size_t piece = group.piece_bytes();
  shape.stride =
      is_for_each(call.kind) ? piece / ranks : piece / call.element_bytes * call.element_bytes;
  return shape;
}

void copy(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
  if (bytes != 0) std::memcpy(to, from, bytes);
}

void put(const SpmdGroup& group, const Collective& call, const Shape& shape, std::size_t done,
         std::size_t length) {
  std::byte* const mine = group.mine();
  const bool is_root = call.root == group.rank();
  if (call.kind == Kind::all_to_all || (call.kind == Kind::scatter && is_root)) {
    for (std::uint32_t rank = 0; rank < group.size(); ++rank) {
      copy(mine + rank * shape.stride, call.from.data() + rank * shape.part + done, length);
    }
  } else if (call.kind == Kind::broadcast ? is_root : !is_for_each(call.kind)) {
    copy(mine, call.from.data() + done, length);
  }
}

// In the order of ranks, and on every rank alike.
void fold(const SpmdGroup& group, const Collective& call, std::size_t done, std::size_t length) {
  const std::uint32_t ranks = call.kind == Kind::scan ? group.rank() + 1 : group.size();
  std::byte* const into = call.to.data() + done;
  copy(into, group.of(0), length);
  for (std::uint32_t rank = 1; rank < ranks && length != 0; ++rank) {
    call.fold(call.folder, into, group.of(rank), length / call.element_bytes);
  }
}

void take(const SpmdGroup& group, const Collective& call, const Shape& shape, std::size_t done,
          std::size_t length) {
  const bool is_root = call.root == group.rank();
  std::byte* const to = call.to.data();
  switch (call.kind) {
    case Kind::broadcast:
      if (!is_root) copy(to + done, group.of(call.root), length);
      return;
    case Kind::scatter:
      return copy(to + done, group.of(call.root) + group.rank() * shape.stride, length);
    case Kind::gather:
      if (!is_root) return;
      [[fallthrough]];
    case Kind::all_gather:
      for (std::uint32_t rank = 0; rank < group.size(); ++rank) {
        copy(to + rank * shape.part + done, group.of(rank), length);
      }
      return;
    case Kind::all_to_all:
      for (std::uint32_t rank = 0; rank < group.size(); ++rank) {
        copy(to + rank * shape.part + done, group.of(rank) + group.rank() * shape.stride, length);
      }
      return;
    case Kind::reduce:
      if (!is_root) return;
      [[fallthrough]];
    case Kind::all_reduce:
    case Kind::scan: return fold(group, call, done, length);
    case Kind::barrier:
    case Kind::refused: return;
  }
}

Result<void> steps_of(SpmdGroup& group, const Collective& call, const Shape& shape,
                      Deadline deadline) {
  const bool is_refused = !shape.flaw.empty();
  const std::size_t part = is_refused ? 0 : shape.part;
  if (auto begun = group.call(call, shape.part / call.element_bytes, is_refused); !begun) {
    return begun;
  }
  for (std::size_t done = 0;;) {
    const std::size_t length = std::min(shape.stride, part - done);
    if (!is_refused) put(group, call, shape, done, length);
    if (auto met = group.meet(deadline); !met) return met;
    if (is_refused) return make_error(Errc::invalid_argument, shape.flaw);
    if (done == 0) {
      if (auto same = group.compare_calls(); !same) return same;
    }
    take(group, call, shape, done, length);
    done += length;
    if (done == part) return {};
  }
}

}  // namespace

Result<void> carry_out(SpmdGroup& group, const Collective& call, Deadline deadline) {
  const Shape shape = shape_of(group, call);
  try {
    return steps_of(group, call, shape, deadline);
  } catch (...) {  // a user's operation
    group.abandon();
    throw;
  }
}

std::uint32_t rank_in(const SpmdGroup& group) noexcept { return group.rank(); }
std::uint32_t size_of(const SpmdGroup& group) noexcept { return group.size(); }

void leave(SpmdGroup& group, bool by_exception) noexcept {
  group.leave(by_exception ? pool::RankState::threw : pool::RankState::returned);
}

Result<std::shared_ptr<SpmdGroup>> join_group(const SharedArray<std::byte>& memory,
                                              std::uint32_t rank) {
  const pool::SpmdMemory view(memory.span());
  const auto& header = view.header();
  const bool fits = memory.size() >= pool::SpmdMemory::buffers_at(0) &&
                    header.magic == pool::SpmdHeader::magic_value &&
                    header.version == pool::SpmdHeader::version_value && header.ranks != 0 &&
                    rank < header.ranks && header.piece_bytes >= pool::spmd_piece_bytes_min &&
                    pool::SpmdMemory::bytes_for(header.ranks, header.piece_bytes) == memory.size();
  if (!fits) {
    return make_error(Errc::protocol_violation,
                      "the memory is no group of which rank " + std::to_string(rank) + " could be");
  }
  return std::make_shared<SpmdGroup>(memory, rank);
}

}  // namespace bulkhead::detail
