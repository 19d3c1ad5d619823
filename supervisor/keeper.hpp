// The process that everything hangs from: holds descriptors, reaps children, restarts the brain. Used by
// keeper_main.cpp; knows nothing of workers, links or policy (docs/design/keeper.md).
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>

#include "base/fd.hpp"
#include "base/mapped_region.hpp"
#include "supervisor/brain_arguments.hpp"
#include "supervisor/brain_watch.hpp"
#include "supervisor/keeper_brain.hpp"
#include "supervisor/keeper_layout.hpp"
#include "supervisor/keeper_reaper.hpp"
#include "supervisor/keeper_store.hpp"
#include "supervisor/keeper_voice.hpp"
#include "supervisor/name_claim.hpp"
#include "supervisor/state_layout.hpp"

namespace bulkhead::supervisor {

// Threads: the process has one. Allocates in prepare() and never after it. About 140 KiB: make it static.
class Keeper {
 public:
  Result<void> prepare(const KeeperArguments&);
  int run() noexcept;  // the exit code

 private:
  Result<void> prepare_parts();
  Result<void> map_memory();
  Result<void> settle_process();

  void take_signals() noexcept;
  void request_stop() noexcept;
  void reap_children() noexcept;

  void start_brain() noexcept;
  void bury_brain(const siginfo_t&) noexcept;
  void give_up_if_hopeless() noexcept;
  void watch_brain(std::uint64_t now) noexcept;
  bool brain_had_taken_over() const noexcept;
  int next_timeout_ms(std::uint64_t now) const noexcept;

  void serve_brain() noexcept;
  bool serve_one_request() noexcept;  // false: nothing is there, or the brain is gone
  void carry_out(const keeper_layout::Request&, base::UniqueFd fd) noexcept;
  int store(const keeper_layout::Request&, base::UniqueFd fd) noexcept;
  void answer(const keeper_layout::Reply&) noexcept;
  bool send_to_brain(const keeper_layout::Reply&) noexcept;
  void ring_bell() noexcept;

  void finish(int exit_code) noexcept;
  void kill_children() noexcept;
  void remove_names() noexcept;
  void report(const char* format, ...) noexcept __attribute__((format(printf, 2, 3)));

  KeeperArguments arguments_;
  base::UniqueFd lock_;
  NameClaim lock_name_, socket_name_;
  base::UniqueFd signals_;
  base::MappedRegion page_;
  base::MappedRegion state_memory_;
  keeper_layout::Header* header_ = nullptr;
  const state_layout::Layout* state_ = nullptr;
  KeeperStore store_;
  KeeperReaper reaper_;
  KeeperVoice voice_;
  KeeperBrain brain_;
  BrainWatch watch_;
  BrainRestart restart_;
  std::uint64_t start_brain_at_ = 0;  // while none is alive
  std::uint64_t brain_started_at_ = 0;
  bool answer_waits_ = false;  // the brain's queue is full: no further request until it was sent
  keeper_layout::Reply waiting_answer_{};
  bool finished_ = false;
  int exit_code_ = 0;
};

}  // namespace bulkhead::supervisor
