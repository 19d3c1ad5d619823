#include "pool/spmd_group.hpp"

#include <cxxabi.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "ipc/wake.hpp"

namespace bulkhead {
namespace pool {
namespace {

// A wait that a stop flag may end is looked at so often; any other one sleeps until it is rung for.
constexpr auto spmd_stop_slice = std::chrono::milliseconds(50);

bool has_processors_for(std::uint32_t ranks) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 &&
         static_cast<std::uint32_t>(CPU_COUNT(&set)) >= ranks;
}

std::uint64_t hash_of(std::string_view text, std::uint64_t hash = 0xcbf29ce484222325) noexcept {
  for (const char c : text)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;  // FNV-1a
  return hash;
}

void copy_name(char (&to)[SpmdCall::name_bytes], const char* name) noexcept {
  std::memcpy(to, name, std::min(std::strlen(name), sizeof to - 1));
}

std::string demangled(const char (&name)[SpmdCall::name_bytes]) {
  const std::string text(name, ::strnlen(name, sizeof name));
  const std::unique_ptr<char, void (*)(void*)> words(
      abi::__cxa_demangle(text.c_str(), nullptr, nullptr, nullptr), &std::free);
  return words ? words.get() : text;
}

const char* name_of(detail::CollectiveKind kind) noexcept {
  using detail::CollectiveKind;
  switch (kind) {
    case CollectiveKind::barrier: return "barrier";
    case CollectiveKind::broadcast: return "broadcast";
    case CollectiveKind::scatter: return "scatter";
    case CollectiveKind::gather: return "gather";
    case CollectiveKind::all_gather: return "all_gather";
    case CollectiveKind::reduce: return "reduce";
    case CollectiveKind::all_reduce: return "all_reduce";
    case CollectiveKind::scan: return "scan";
    case CollectiveKind::all_to_all: return "all_to_all";
    case CollectiveKind::refused: return "something with arguments that it was refused";
  }
  return "what there is not";
}

bool has_root(detail::CollectiveKind kind) noexcept {
  using detail::CollectiveKind;
  return kind == CollectiveKind::broadcast || kind == CollectiveKind::scatter ||
         kind == CollectiveKind::gather || kind == CollectiveKind::reduce;
}

// "all_reduce of 5 double with std::plus<void> as its call 3"
std::string call_in_words(const SpmdCall& call) {
  std::string words = name_of(call.kind);
  if (call.type[0] != '\0') {
    words += " of " + std::to_string(call.count) + " " + demangled(call.type);
    if (call.operation[0] != '\0') words += " with " + demangled(call.operation);
    if (has_root(call.kind)) words += ", root " + std::to_string(call.root) + ",";
  }
  return words + " as its call " + std::to_string(call.sequence);
}

}  // namespace

Result<SharedArray<std::byte>> make_spmd_memory(std::uint32_t ranks, std::uint32_t piece_bytes) {
  BULKHEAD_ASSERT(piece_bytes >= spmd_piece_bytes_min && piece_bytes % 64 == 0 && ranks != 0);
  auto memory = SharedArray<std::byte>::create(SpmdMemory::bytes_for(ranks, piece_bytes), "spmd");
  if (!memory) return memory.error();
  SpmdHeader& header = SpmdMemory(memory->span()).header();
  header.magic = SpmdHeader::magic_value;
  header.version = SpmdHeader::version_value;
  header.ranks = ranks;
  header.piece_bytes = piece_bytes;
  return memory;
}

void mark_rank(SpmdMemory memory, std::uint32_t rank, RankState state) noexcept {
  auto expected = RankState::running;
  // sync spmd.state: release; pairs with SpmdGroup::state_of(); publishes the last arrival of who is gone
  // relaxed: where it fails, somebody was first, and nothing is read.
  if (memory.page(rank).line.state.compare_exchange_strong(
          expected, state, std::memory_order_release, std::memory_order_relaxed)) {
    ipc::ring(memory.header().bell);
  }
}

}  // namespace pool

namespace detail {

using pool::RankState;

SpmdGroup::SpmdGroup(SharedArray<std::byte> memory, std::uint32_t rank)
    : memory_(std::move(memory)),
      view_(memory_.span()),
      rank_(rank),
      size_(view_.header().ranks),
      may_spin_(pool::has_processors_for(size_)) {}

Result<void> SpmdGroup::call(const Collective& what, std::size_t count, bool is_refused) {
  if (ended_) return *ended_;
  pool::SpmdCall words{};
  kind_ = what.kind;
  words.sequence = ++sequence_;
  words.kind = is_refused ? CollectiveKind::refused : what.kind;
  words.root = what.root;
  words.element_bytes = what.element_bytes;
  words.count = count;
  words.signature = pool::hash_of(what.operation, pool::hash_of(what.type) * 31);
  pool::copy_name(words.type, what.type);
  pool::copy_name(words.operation, what.operation);
  // The dead come to no collective; who is told now need not wait for those that compute.
  if (first_dead()) return end_with(*why_not());
  view_.page(rank_).calls[(step_ + 1) % 2] = words;
  return {};
}

Result<void> SpmdGroup::meet(Deadline deadline) {
  arrive();
  if (here_ == size_ || spin()) return {};
  return sleep(deadline);
}

// A store and then loads, all sequentially consistent: of two that arrive at the same time one at least sees the
// other, so that the last one knows that it is the last, and rings.
void SpmdGroup::arrive() noexcept {
  ++step_;
  here_ = 0;
  if (may_spin_) {
    const auto processor = static_cast<std::uint32_t>(::sched_getcpu()) + 1;
    // relaxed: a hint to who waits for us
    if (processor != processor_)
      line_of(rank_).processor.store(processor, std::memory_order_relaxed);
    processor_ = processor;
  }
  // sync spmd.arrive: seq_cst; pairs with all_here(); publishes the call and the bytes of this step
  line_of(rank_).arrived.store(step_, std::memory_order_seq_cst);
  if (!all_here()) return;
  for (std::uint32_t rank = 0; rank < size_; ++rank) {
    // sync spmd.asleep: seq_cst; pairs with sleep(); either we see that it sleeps, or it sees that we are here
    if (line_of(rank).asleep.load(std::memory_order_seq_cst) != 0) {
      return ipc::ring(view_.header().bell);
    }
  }
}

bool SpmdGroup::all_here() noexcept {
  while (here_ < size_) {
    // sync spmd.arrive: seq_cst; pairs with arrive(); shows the call and the bytes of that step
    if (line_of(here_).arrived.load(std::memory_order_seq_cst) < step_) return false;
    ++here_;
  }
  return true;
}

bool SpmdGroup::spin() noexcept {
  if (!may_spin_ || pace_.budget() == ipc::SpinPace::Span::zero()) return false;
  constexpr int looks = 64;
  const auto begin = Clock::now();
  for (auto now = begin; now - begin < pace_.budget(); now = Clock::now()) {
    for (int i = 0; i < looks; ++i) {
      if (all_here()) {
        pace_.arrived(now - begin);
        return true;
      }
      ipc::cpu_pause();
    }
    // Who shares our processor does not come while we spin on it.
    // relaxed: a hint from it
    if (line_of(here_).processor.load(std::memory_order_relaxed) == processor_) break;
  }
  return false;
}

Result<void> SpmdGroup::sleep(Deadline deadline) {
  auto& asleep = line_of(rank_).asleep;
  const auto& bell = view_.header().bell;
  const auto begin = Clock::now();
  // sync spmd.asleep: seq_cst; pairs with arrive(); either it sees that we sleep, or we see that it is here
  asleep.store(1, std::memory_order_seq_cst);
  std::optional<Error> failure;
  for (;;) {
    // Before the look: what is rung for after this load ends the sleep.
    // sync wake.bell: acquire; pairs with ring(); shows the arrivals and states that were rung for
    const std::uint32_t rung = bell.load(std::memory_order_acquire);
    if (all_here()) break;
    failure = why_not();
    if (all_here()) failure.reset();  // they came before what was found ended them
    if (failure || here_ == size_) break;
    if (deadline.stopped() || deadline.expired()) {
      failure = deadline.stopped()
                    ? make_error(Errc::stopped, "stopped" + in_words_where())
                    : make_error(Errc::timed_out, "rank " + std::to_string(here_) +
                                                      " has not come" + in_words_where());
      leave(RankState::gave_up);
      break;
    }
    auto until = deadline.when();
    if (deadline.stoppable()) until = std::min(until, Clock::now() + pool::spmd_stop_slice);
    ipc::futex_wait(std::array{ipc::FutexWatch{&bell, rung}}, until);
  }
  asleep.store(0, std::memory_order_relaxed);  // relaxed: seen late, it costs a ring for nobody
  if (failure) return end_with(std::move(*failure));
  pace_.slept(Clock::now() - begin);
  return {};
}

RankState SpmdGroup::state_of(std::uint32_t rank) const noexcept {
  // sync spmd.state: acquire; pairs with mark_rank(); shows the last arrival of who is gone
  return line_of(rank).state.load(std::memory_order_acquire);
}

std::optional<std::uint32_t> SpmdGroup::first_dead() const noexcept {
  for (std::uint32_t rank = 0; rank < size_; ++rank) {
    const RankState state = state_of(rank);
    if (state == RankState::dead || state == RankState::unborn) return rank;
  }
  return std::nullopt;
}

// A death counts for more than a departure: who returns because of the one is not the reason. The states of the dead are
// read last, so that a death is seen by who sees somebody that left because of it.
std::optional<Error> SpmdGroup::why_not() const {
  std::optional<Error> departure;
  for (std::uint32_t rank = 0; rank < size_ && !departure; ++rank) {
    const RankState state = state_of(rank);
    // sync spmd.arrive: acquire; pairs with arrive(); after its state, its last arrival
    const bool has_come = line_of(rank).arrived.load(std::memory_order_acquire) >= step_;
    if (state == RankState::running || has_come) continue;
    const char* const how = state == RankState::returned ? " has returned"
                            : state == RankState::threw  ? " ended by an exception"
                                                         : " has given up waiting";
    departure = make_error(Errc::closed, "rank " + std::to_string(rank) + how + in_words_where());
  }
  const auto dead = first_dead();
  if (!dead) return departure;
  const bool never_lived = state_of(*dead) == RankState::unborn;
  return make_error(Errc::peer_died, "rank " + std::to_string(*dead) +
                                         (never_lived ? " could not be started" : " died") +
                                         in_words_where());
}

std::string SpmdGroup::in_words_where() const {
  return "; rank " + std::to_string(rank_) + " was in " + pool::name_of(kind_) + ", its call " +
         std::to_string(sequence_);
}

Result<void> SpmdGroup::compare_calls() const {
  const auto& first = view_.page(0).calls[step_ % 2];
  for (std::uint32_t rank = 1; rank < size_; ++rank) {
    const auto& call = view_.page(rank).calls[step_ % 2];
    if (std::memcmp(&call, &first, sizeof call) == 0) continue;
    return make_error(Errc::protocol_violation,
                      "the ranks called different things: rank 0 " + pool::call_in_words(first) +
                          ", rank " + std::to_string(rank) + " " + pool::call_in_words(call));
  }
  return {};
}

Error SpmdGroup::end_with(Error error) {
  ended_ = std::move(error);
  return *ended_;
}

void SpmdGroup::abandon() {
  leave(RankState::threw);
  (void)end_with(make_error(Errc::closed, "an operation threw" + in_words_where()));
}

void SpmdGroup::leave(RankState how) noexcept { pool::mark_rank(view_, rank_, how); }

}  // namespace detail
}  // namespace bulkhead
