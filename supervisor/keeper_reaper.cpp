#include "supervisor/keeper_reaper.hpp"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.hpp"

// The tables of sync points stand in keeper_layout.hpp and state_layout.hpp.
namespace bulkhead::supervisor {
namespace {

// The system call gives the resources of the dead, which glibc's waitid(3) leaves out.
bool wait_for(idtype_t kind, pid_t pid, int flags, siginfo_t& info, rusage& used) noexcept {
  info = {};
  for (;;) {
    const long rc = ::syscall(SYS_waitid, static_cast<long>(kind), static_cast<long>(pid), &info,
                              static_cast<long>(flags), &used);
    if (rc == 0) return info.si_pid != 0;
    if (errno != EINTR) return false;
  }
}

void reap_one(pid_t pid) noexcept {
  siginfo_t ignored;
  rusage unused{};
  (void)wait_for(P_PID, pid, WEXITED | WNOHANG, ignored, unused);
}

std::uint64_t microseconds(const timeval& time) noexcept {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(time.tv_usec);
}

}  // namespace

void KeeperReaper::attach(keeper_layout::Header& header, std::span<keeper_layout::ExitEntry> ring,
                          const state_layout::Layout& state) noexcept {
  header_ = &header;
  ring_ = ring;
  state_ = &state;
}

ReapResult KeeperReaper::reap(pid_t brain) noexcept {
  ReapResult result;
  rusage used{};
  if (brain > 0 && wait_for(P_PID, brain, WEXITED | WNOHANG, result.brain_status, used)) {
    result.brain_died = true;
  }
  waiting_ = false;
  for (;;) {
    siginfo_t info;
    if (!wait_for(P_ALL, 0, WEXITED | WNOHANG | WNOWAIT, info, used)) return result;
    if (info.si_pid == brain) {  // died since the look above
      result.brain_died = true;
      result.brain_status = info;
    } else {
      bool claimed = false;
      if (!record(info, used, claimed)) {
        waiting_ = true;
        return result;
      }
      result.appended |= claimed;
      // relaxed: a statistic
      if (!claimed) header_->orphans_reaped.fetch_add(1, std::memory_order_relaxed);
    }
    reap_one(info.si_pid);
  }
}

std::uint64_t KeeperReaper::claim_word(std::uint32_t slot) const noexcept {
  // sync state.claim: acquire; pairs with acq_rel in claim_slot and claim_next; the word alone
  return state_->claims[slot].load(std::memory_order_acquire);
}

// A claim keeps the number of a process that was reaped long ago until the slot starts again, and by then
// the number may be another child's.
bool KeeperReaper::is_unreaped(std::uint32_t slot, std::uint64_t word) const noexcept {
  return state_layout::claim_pid(word) > 0 &&
         state_layout::claim_generation(word) > last_reaped_[slot];
}

bool KeeperReaper::ring_is_full() const noexcept {
  // relaxed: both words are ours
  const auto appended = header_->exits_appended.load(std::memory_order_relaxed);
  // relaxed: likewise
  const auto acknowledged = header_->exits_acknowledged.load(std::memory_order_relaxed);
  return appended - acknowledged >= ring_.size();
}

bool KeeperReaper::record(const siginfo_t& info, const rusage& used, bool& found) noexcept {
  for (std::uint32_t slot = 0; slot < state_layout::slot_count; ++slot) {
    const auto word = claim_word(slot);
    if (state_layout::claim_pid(word) != info.si_pid || !is_unreaped(slot, word)) continue;
    if (ring_is_full()) return false;
    append(slot, state_layout::claim_generation(word), info, used);
    found = true;
    return true;
  }
  return true;
}

void KeeperReaper::append(std::uint32_t slot, std::uint32_t generation, const siginfo_t& info,
                          const rusage& used) noexcept {
  // relaxed: we are the only writer
  const auto sequence = header_->exits_appended.load(std::memory_order_relaxed);
  auto& entry = ring_[sequence & (ring_.size() - 1)];
  entry = {};
  entry.sequence = sequence;
  entry.slot = slot;
  entry.generation = generation;
  entry.pid = info.si_pid;
  entry.code = info.si_code;
  entry.status = info.si_status;
  entry.t_ns = base::monotonic_ns();
  entry.user_us = microseconds(used.ru_utime);
  entry.system_us = microseconds(used.ru_stime);
  entry.max_rss_kib = static_cast<std::uint64_t>(used.ru_maxrss);
  entry.minor_faults = static_cast<std::uint64_t>(used.ru_minflt);
  entry.major_faults = static_cast<std::uint64_t>(used.ru_majflt);
  entry.voluntary_switches = static_cast<std::uint64_t>(used.ru_nvcsw);
  entry.involuntary_switches = static_cast<std::uint64_t>(used.ru_nivcsw);
  last_reaped_[slot] = generation;
  // sync keeper.exits: release; pairs with acquire in KeeperClient::next_exit; publishes the entry
  header_->exits_appended.store(sequence + 1, std::memory_order_release);
}

bool KeeperReaper::acknowledge(std::uint64_t sequence) noexcept {
  // relaxed: both words are ours
  const auto appended = header_->exits_appended.load(std::memory_order_relaxed);
  // relaxed: likewise
  const auto before = header_->exits_acknowledged.load(std::memory_order_relaxed);
  if (sequence <= before || sequence > appended) return false;
  // sync keeper.exits: release; pairs with acquire in KeeperClient::adopt; where a new brain begins
  header_->exits_acknowledged.store(sequence, std::memory_order_release);
  return waiting_;
}

}  // namespace bulkhead::supervisor
