// ControlLink's part in a strict sandbox: keeps what the supervisor sent, puts it in force, and says so.
#include <cstdio>
#include <utility>

#include "workers/confinement.hpp"
#include "workers/control_link.hpp"

namespace bulkhead::workers {

// Said again by each brain that is greeted; the first is as good as the last, until it is in force.
void ControlLink::take_sandbox(ipc::Packet& packet, const ipc::Json& params) {
  if (confined_) return;
  const auto fail = [&](Error why) {
    why.context = "the strict sandbox: " + why.context;
    failure_ = std::move(why);
  };
  auto install = ipc::decode<ipc::SandboxInstall>(params);
  if (!install) return fail(install.error());
  auto filter = ipc::fd_named(packet, "filter");
  if (!filter) return fail(filter.error());
  sandbox_ = Sandbox{std::move(*install), std::move(*filter)};
}

Result<void> ControlLink::confine() {
  const std::scoped_lock lock(mutex_);
  if (!sandbox_) return {};
  auto confined = workers::confine(sandbox_->install, sandbox_->filter);
  sandbox_.reset();
  if (!confined) {
    Error why = confined.error();
    why.context = "cannot confine itself as \"sandbox\": \"strict\" asks (" + why.context +
                  "); \"basic\" needs less";
    return why;
  }
  for (const auto& refusal : confined->refused) {
    std::fprintf(stderr, "bulkhead: sandbox: %s\n", refusal.c_str());
  }
  confined_ = std::move(*confined);
  send_confined();
  return {};
}

void ControlLink::send_confined() {
  send(ipc::notification(ipc::method::sandbox_installed, ipc::encode(*confined_)));
}

}  // namespace bulkhead::workers
