// The part of Brain that has to do with the web process: its socket, its names, and what it may ask
// (docs/metrics.md).
#include <algorithm>
#include <array>
#include <csignal>

#include "supervisor/brain.hpp"
#include "supervisor/web_protocol.hpp"

namespace bulkhead::supervisor {
namespace {

constexpr Slot web_slot = first_internal_slot + 2;
constexpr std::array<std::string_view, 3> web_may_ask{ipc::method::status, ipc::method::events,
                                                      ipc::method::incidents};

}  // namespace

InternalWorker::Options Brain::web_options() {
  InternalWorker::Options options;
  options.name = "web";
  options.slot = web_slot;
  options.command = {arguments_.system.program_directory + "/bulkhead-web", "--control",
                     arguments_.system.control_path};
  options.control = true;
  options.connected = [this](ControlPort& port) { introduce_web(port); };
  return options;
}

// Also to one that a brain before us started, maybe with another config: it lets go of what it had.
void Brain::introduce_web(ControlPort& port) {
  const auto socket = sockets_.held(*config_.http);
  if (!socket) return;  // the system ends
  const std::array fds{*socket};
  port.send(ipc::notification(web_method::serve, {{"hosts", config_.http_hosts},
                                                  {"fds", ipc::Json::array({"listener"})}}),
            fds);
}

// Of an earlier config. It has nothing that is worth a last word, and might hear none.
void Brain::dismiss_web() {
  (void)keeper_.drop("internal/web");
  web_.retire(SIGKILL);
}

// Its uid is ours, and may command. Whoever takes it over, by bytes from the network, may look, and no more;
// it cannot start another process to ask in its place.
void Brain::hear(const ClientRequest& request) {
  const bool is_web = request.pid != 0 && request.pid == processes_.pid(web_slot);
  const bool may_ask =
      std::find(web_may_ask.begin(), web_may_ask.end(), request.method) != web_may_ask.end();
  if (is_web && !may_ask) {
    return server_.fail(request.client, request.id,
                        make_error(Errc::not_permitted, "the web process only reads"));
  }
  api_.request(request);
  if (finished_) leave_when_done();
}

}  // namespace bulkhead::supervisor
