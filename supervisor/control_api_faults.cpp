// What may be asked of a worker that is to go wrong on purpose. Nobody outside of a program can make it allocate: what
// `bulkhead chaos` wants of that kind, the worker's runtime does in its own name.
#include "ipc/fault_protocol.hpp"
#include "supervisor/control_api.hpp"

namespace bulkhead::supervisor {

// Of the process that the client has seen, and of none that came after it.
Result<void> ControlApi::leak(const ClientRequest& request) {
  const auto slots = named(request);
  if (!slots) return slots.error();
  const auto wanted = ipc::decode<ipc::Leak>(request.params);
  if (!wanted) return wanted.error();
  std::int32_t pid = 0;
  ipc::FieldReader fields(request.method, request.params);
  if (fields.required("pid", pid).failed()) return fields.error();
  const Slot slot = slots->front();
  if (slots->size() != 1 || parts_.processes.pid(slot) != pid || !parts_.desk.speaks(slot)) {
    return make_error(Errc::not_found, "no instance that uses the runtime and runs as process " +
                                           std::to_string(pid));
  }
  if (first_time(request)) {
    parts_.desk.send(slot, ipc::method::leak, ipc::encode(*wanted), {});
  }
  parts_.server.answer(request.client, request.id, ipc::Json::object());
  return {};
}

}  // namespace bulkhead::supervisor
