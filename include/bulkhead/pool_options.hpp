// What a pool and its tasks can be told, and what they tell. Values.
#pragma once

#include <bulkhead/detail/task_function.hpp>
#include <bulkhead/future.hpp>
#include <bulkhead/scheduling.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead {

// What becomes of a task, or of an item of a map, whose worker dies with it.
enum class OnCrash : std::uint8_t {
  automatic,  // tasks fail, items are tried again
  fail,
  retry,  // it is run again, alone, up to `retries` times: for what may be run twice
};

struct TaskOptions {
  std::chrono::nanoseconds timeout{
      0};  // of a task, or of an item of a map, from its start; 0: none
  OnCrash on_crash = OnCrash::automatic;
  unsigned retries = 2;
  int priority = 0;  // higher first; equal ones in the order of submission
  // What shortest_next and shortest_remaining go by; 0: what its function took before, on the average.
  std::chrono::nanoseconds expected{0};
  // Its worker has no other task meanwhile: for tasks that wait for each other, which need one worker each.
  bool alone = false;
};

// What each worker does before its first task. A worker in which it fails ends; when that happens to three in a row,
// what is pending fails with could_not_start.
struct Initializer {
  Initializer() = default;
  template <detail::ShippableCallable F>
  Initializer(F callable)  // NOLINT(google-explicit-constructor): `{.initializer = [] { … }}`
      : function(detail::task_number<detail::Call<F>>) {
    detail::BodyWriter writer;
    writer.write(callable);
    body = writer.take_bytes();
  }
  std::optional<std::uint32_t> function;
  Bytes body;
};

// The same program in three ways: run it inline or in threads under a debugger or a sanitizer, and then in processes. Only
// there does a crash cost one task, and only there can a task be ended that does not end itself.
enum class Where : std::uint8_t {
  processes,
  threads,  // of this process
  caller,   // in submit() itself, and map()
};

struct PoolOptions {
  Where where = Where::processes;
  unsigned workers = 0;             // 0: the processors that this process may use; at most 256
  std::size_t pending_max = 65536;  // tasks that are not done; submit() waits for room
  std::size_t pending_bytes_max = std::size_t{256} << 20;  // likewise of their arguments
  unsigned tasks_per_worker_max = 0;                       // then it is replaced; 0: no limit
  // Between the steps with which a task is stopped: asked, SIGTERM, SIGKILL.
  std::chrono::nanoseconds grace = std::chrono::milliseconds(100);
  std::uint64_t memory_max = 0;  // bytes of address space of a worker (RLIMIT_AS); 0: no limit
  // A worker by exec instead of a fork of the zygote: 1 ms instead of 0.3 ms, and nothing shared but the program.
  bool exec_workers = false;
  Initializer initializer = {};  // so that {.workers = 4} leaves nothing out, says -Wextra
  Scheduling scheduling = {};
};

struct PoolStats {
  unsigned workers = 0, busy = 0;  // now
  std::uint64_t done = 0, failed = 0, retried = 0;
  std::uint64_t started = 0, died = 0;  // workers
  std::uint64_t preempted = 0;          // times a task was stopped for another
  // Why workers are made by exec and not by fork; "" where they are forked.
  std::string exec_reason;
};

// An item that has no result.
struct ItemFailure {
  std::size_t item = 0;
  TaskFailure failure;
};

// The results of a map in the order of its items.
template <class R>
struct Mapped {
  std::vector<R> values;              // of an item that failed: R{}
  std::vector<ItemFailure> failures;  // in the order of items
  bool complete() const noexcept { return failures.empty(); }
};
template <>
struct Mapped<void> {
  std::vector<ItemFailure> failures;
  bool complete() const noexcept { return failures.empty(); }
};

}  // namespace bulkhead
