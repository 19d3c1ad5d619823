// What may be asked about deaths, and about why things are as they are.
#include "base/clock.hpp"
#include "supervisor/control_api.hpp"
#include "supervisor/why.hpp"
#include "supervisor/worker_limits.hpp"

namespace bulkhead::supervisor {

Result<void> ControlApi::incidents(const ClientRequest& request) {
  std::uint64_t since = 0;
  ipc::FieldReader fields(request.method, request.params);
  if (fields.optional("since", since).failed()) return fields.error();
  parts_.server.answer(request.client, request.id, parts_.incidents.page(since));
  return {};
}

Result<void> ControlApi::why(const ClientRequest& request) {
  const auto slots = named(request);
  if (!slots) return slots.error();
  auto reasons = ipc::Json::array();
  for (const Slot slot : *slots) {
    const auto limits = parts_.status.limits.complaint(slot);
    const auto sandbox = sandbox_of(parts_.status, slot)["complaint"].get<std::string>();
    reasons.push_back(
        {{"name", plan_.instances[slot].name},
         {"state", to_string(parts_.supervision.instance(slot).status)},
         {"text", explain(plan_, parts_.supervision.state(), parts_.incidents,
                          parts_.status.introducer.complaint(slot), slot, base::monotonic_ns()) +
                      (sandbox.empty() ? "" : " Its " + sandbox + ".") +
                      (limits.empty() ? "" : " Its " + limits + ".")}});
  }
  parts_.server.answer(request.client, request.id, {{"why", std::move(reasons)}});
  return {};
}

// Before the signal is sent, or its effect might be there first.
void ControlApi::expect_kill(const ClientRequest& request, Slot slot, int signal) {
  std::uint64_t t0 = 0;
  ipc::FieldReader(request.method, request.params).optional("t0_ns", t0);
  parts_.incidents.expect(slot, {parts_.processes.generation(slot), signal, t0, request.pid});
}

}  // namespace bulkhead::supervisor
