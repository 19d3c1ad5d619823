// The message of the control protocol about a task that a queue gave up.
#include "ipc/control_protocol.hpp"

namespace bulkhead::ipc {

Json encode(const TaskQuarantined& quarantined) {
  return {
      {"pair", quarantined.pair}, {"task", quarantined.task}, {"attempts", quarantined.attempts}};
}

template <>
Result<TaskQuarantined> decode(const Json& params) {
  TaskQuarantined quarantined;
  FieldReader in(method::task_quarantined, params);
  in.required("pair", quarantined.pair)
      .required("task", quarantined.task)
      .required("attempts", quarantined.attempts);
  return in.finish(std::move(quarantined));
}

}  // namespace bulkhead::ipc
