// What the control protocol says of queues (docs/design/control-protocol.md): the part of its vocabulary that
// only those need who have to do with queues. As ipc/control_protocol.hpp otherwise.
#pragma once

#include "ipc/control_protocol.hpp"

namespace bulkhead::ipc {

namespace method {
// worker -> brain
inline constexpr std::string_view task_quarantined = "task.quarantined";
// brain -> worker: one that waits wakes, and looks into its journal
inline constexpr std::string_view queue_requeued = "queue.requeued";
// command line -> brain
inline constexpr std::string_view queue = "queue", queue_requeue = "queue.requeue";
}  // namespace method

// A request, so that a change of brains loses none; the answer is empty.
struct TaskQuarantined {
  std::string pair;  // of the worker that it failed with last
  std::uint64_t task = 0;
  std::uint32_t attempts = 0;
  std::uint64_t since_ns = 0;  // when: the same task may be given up again after a requeue
};

[[nodiscard]] Json encode(const TaskQuarantined&);
template <>
Result<TaskQuarantined> decode(const Json&);

}  // namespace bulkhead::ipc
