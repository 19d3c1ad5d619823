// The owner's side of a run: its memory, its pool, and the pool's word about each rank passed on to the others.
#include <bulkhead/spmd.hpp>

#include <string>

#include "pool/spmd_layout.hpp"
#include "pool/worker_process.hpp"

namespace bulkhead::detail {
namespace {

// What the others are told of a rank whose task has ended so. Who returned or threw has said so itself, unless it never
// came as far as to join.
pool::RankState state_after(const TaskFailure* failure) noexcept {
  if (failure == nullptr) return pool::RankState::returned;
  switch (failure->cause) {
    case FailureCause::exception:
    case FailureCause::error: return pool::RankState::threw;
    case FailureCause::could_not_start: return pool::RankState::unborn;
    default: return pool::RankState::dead;
  }
}

PoolOptions pool_options(const SpmdOptions& options, unsigned ranks) {
  PoolOptions pool;
  pool.workers = ranks;
  // Each rank waits for all: a submit that waited for room would wait for ever.
  pool.pending_max = ranks;
  pool.pending_bytes_max = SIZE_MAX;
  pool.memory_max = options.memory_max;
  pool.exec_workers = options.exec_workers;
  return pool;
}

}  // namespace

Result<SpmdRun> SpmdRun::begin(const SpmdOptions& options, unsigned ranks) {
  if (ranks == 0 || ranks > spmd_ranks_max) {
    return make_error(Errc::invalid_argument, "run_spmd with " + std::to_string(ranks) +
                                                  " ranks; 1 to " + std::to_string(spmd_ranks_max) +
                                                  " can be");
  }
  if (pool::is_in_worker()) {
    return make_error(Errc::not_permitted,
                      "run_spmd in a process of a pool, which cannot have processes of its own");
  }
  auto memory = pool::make_spmd_memory(ranks, pool::spmd_piece_bytes);
  if (!memory) return memory.error();
  return SpmdRun(Pool(pool_options(options, ranks)), std::move(*memory));
}

void SpmdRun::watch(const std::shared_ptr<TaskState>& task) {
  const auto rank = static_cast<std::uint32_t>(tasks_.size());
  tasks_.push_back(task);
  // On the pool's thread, which hears of deaths from the zygote; perhaps after the run has returned. Task and call own each
  // other until the task has ended, which the pool's own end sees to.
  when_ready(*task, [task, rank, memory = memory_] {
    pool::mark_rank(pool::SpmdMemory(memory.span()), rank, state_after(failure_of(*task)));
  });
}

Result<void> SpmdRun::wait(Deadline deadline) const {
  for (std::size_t rank = 0; rank < tasks_.size(); ++rank) {
    if (auto ended = await(*tasks_[rank], deadline); !ended) {
      return Error{ended.error().code, "rank " + std::to_string(rank) + " has not ended"};
    }
  }
  for (const auto& task : tasks_) {
    const auto* const failure = failure_of(*task);
    if (failure != nullptr && failure->cause == FailureCause::could_not_start) {
      return failure->error;
    }
  }
  return {};
}

std::shared_ptr<SpmdGroup> join_or_throw(const SharedArray<std::byte>& memory, std::uint32_t rank) {
  auto group = join_group(memory, rank);
  if (!group) throw TaskError{group.error()};
  return std::move(*group);
}

}  // namespace bulkhead::detail
