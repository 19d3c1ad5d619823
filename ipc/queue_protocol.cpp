#include "ipc/queue_protocol.hpp"

namespace bulkhead::ipc {

Json encode(const TaskQuarantined& quarantined) {
  return {{"pair", quarantined.pair},
          {"task", quarantined.task},
          {"attempts", quarantined.attempts},
          {"since_ns", quarantined.since_ns}};
}

template <>
Result<TaskQuarantined> decode(const Json& params) {
  TaskQuarantined quarantined;
  FieldReader in(method::task_quarantined, params);
  in.required("pair", quarantined.pair)
      .required("task", quarantined.task)
      .required("attempts", quarantined.attempts)
      .required("since_ns", quarantined.since_ns);
  return in.finish(std::move(quarantined));
}

}  // namespace bulkhead::ipc
