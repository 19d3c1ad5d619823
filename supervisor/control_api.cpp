#include "supervisor/control_api.hpp"

#include <algorithm>
#include <csignal>

#include "base/clock.hpp"
#include "ipc/fault_protocol.hpp"
#include "ipc/queue_protocol.hpp"

namespace bulkhead::supervisor {
namespace {

constexpr std::size_t events_per_answer = 1000;

bool alive(const InstanceState& instance) { return instance.pid != 0; }

}  // namespace

std::uint64_t operation_of(const ClientRequest& request) {
  const auto operation = request.params.find("operation");
  if (operation == request.params.end()) return 0;
  return std::hash<std::string>{}(operation->dump()) | 1;
}

ControlApi::ControlApi(Parts parts) : parts_(parts), plan_(parts.status.plan) {}

void ControlApi::request(const ClientRequest& request) {
  if (const auto taken = dispatch(request); !taken) {
    parts_.server.fail(request.client, request.id, taken.error());
  }
}

Result<void> ControlApi::dispatch(const ClientRequest& request) {
  namespace method = ipc::method;
  if (request.method == method::status) {
    std::string name;
    bool all = false;
    ipc::FieldReader fields("status", request.params);
    if (fields.optional("name", name).optional("all", all).failed()) return fields.error();
    auto report = report_status(parts_.status, name, all);
    if (!report) return report.error();
    parts_.server.answer(request.client, request.id, std::move(*report));
    return {};
  }
  if (request.method == method::kill) return kill(request);
  if (request.method == method::leak) return leak(request);
  if (request.method == method::start) return start(request);
  if (request.method == method::stop) return stop(request);
  if (request.method == method::restart) return restart(request);
  if (request.method == method::events) return events(request);
  if (request.method == method::logs) return log_files(request);
  if (request.method == method::service_connect) return connect_service(request);
  if (request.method == method::queue) return queues(request);
  if (request.method == method::queue_requeue) return requeue(request);
  if (request.method == method::config) return show_config(request);
  if (request.method == method::plan) return plan_config(request);
  if (request.method == method::reload) return reload(request);
  if (request.method == method::scale) return scale(request);
  if (request.method == method::incidents) return incidents(request);
  if (request.method == method::why) return why(request);
  if (request.method == method::wait_settled) {
    wait(request, [this] {
      auto outcome = settled();
      start_is_over_ = start_is_over_ || outcome.has_value();
      return outcome;
    });
    return {};
  }
  if (request.method == method::shutdown) {
    start_is_over_ = true;
    shutdown_waiters_.emplace_back(request.client, request.id);
    parts_.supervision.apply(Shutdown{false});
    return {};
  }
  return make_error(Errc::method_not_found, request.method);
}

Result<std::vector<Slot>> ControlApi::named(const ClientRequest& request) const {
  std::string name;
  ipc::FieldReader fields(request.method, request.params);
  if (fields.required("name", name).failed()) return fields.error();
  if (name.empty()) return make_error(Errc::invalid_argument, request.method + " needs a name");
  return slots_named(plan_, name);
}

ipc::Json ControlApi::names(const std::vector<Slot>& slots) const {
  auto list = ipc::Json::array();
  for (const Slot slot : slots) list.push_back(plan_.instances[slot].name);
  return list;
}

bool ControlApi::was_carried_out(std::uint64_t operation) const {
  const auto& known = parts_.supervision.record().operations;
  return std::find(known.begin(), known.end(), operation) != known.end();
}

// A client that lost its connection in the middle of a write repeats it with the same id.
bool ControlApi::first_time(const ClientRequest& request) {
  const std::uint64_t id = operation_of(request);
  if (id == 0) return true;
  if (was_carried_out(id)) return false;
  SystemRecord& record = parts_.supervision.record();
  record.operations[record.operations_recorded++ % record.operations.size()] = id;
  parts_.supervision.save();
  return true;
}

Result<void> ControlApi::kill(const ClientRequest& request) {
  const auto slots = named(request);
  if (!slots) return slots.error();
  int signal = SIGKILL;
  ipc::FieldReader fields("kill", request.params);
  if (fields.optional("signal", signal).failed()) return fields.error();
  if (signal < 1 || signal > SIGRTMAX) {
    return make_error(Errc::invalid_argument, "signal " + std::to_string(signal));
  }
  std::vector<Slot> hit;
  auto pids = ipc::Json::array();  // whom: each may have a successor by the time this is read
  if (first_time(request)) {
    for (const Slot slot : *slots) {
      if (!parts_.processes.alive(slot)) continue;
      expect_kill(request, slot, signal);
      if (!parts_.processes.signal(slot, signal)) continue;
      hit.push_back(slot);
      pids.push_back(parts_.processes.pid(slot));
    }
    if (hit.empty()) {
      return make_error(Errc::not_found,
                        "no living process of " + plan_.instances[slots->front()].worker);
    }
  } else {
    hit = *slots;
  }
  parts_.server.answer(request.client, request.id,
                       {{"killed", names(hit)}, {"pids", std::move(pids)}});
  return {};
}

Result<void> ControlApi::stop(const ClientRequest& request) {
  const auto slots = named(request);
  if (!slots) return slots.error();
  if (first_time(request)) {
    for (const Slot slot : *slots) parts_.supervision.apply(WantDown{slot});
  }
  wait(request, [this, slots = *slots]() -> Outcome {
    for (const Slot slot : slots) {
      const auto& instance = parts_.supervision.instance(slot);
      if (instance.status == InstanceStatus::unkillable) {
        return Result<ipc::Json>(make_error(
            Errc::timed_out,
            plan_.instances[slot].name + " does not die: it hangs inside the kernel (state D)"));
      }
      if (alive(instance)) return std::nullopt;
    }
    return Result<ipc::Json>(ipc::Json{{"names", names(slots)}});
  });
  return {};
}

Result<void> ControlApi::start(const ClientRequest& request) {
  const auto slots = named(request);
  if (!slots) return slots.error();
  if (parts_.supervision.state().stopping) {
    return make_error(Errc::not_permitted, "the system is shutting down");
  }
  if (first_time(request)) {
    for (const Slot slot : *slots) parts_.supervision.apply(WantUp{slot});
  }
  wait(request, [this, slots = *slots]() -> Outcome {
    for (const Slot slot : slots) {
      const auto& instance = parts_.supervision.instance(slot);
      if (gave_up(instance)) {
        return Result<ipc::Json>(
            make_error(Errc::exec_failed,
                       plan_.instances[slot].name + ": " +
                           reason(plan_, parts_.supervision.state(), slot, base::monotonic_ns())));
      }
      if (!is_up(instance)) return std::nullopt;
    }
    return Result<ipc::Json>(ipc::Json{{"names", names(slots)}});
  });
  return {};
}

Result<void> ControlApi::restart(const ClientRequest& request) {
  const auto slots = named(request);
  if (!slots) return slots.error();
  if (parts_.supervision.state().stopping) {
    return make_error(Errc::not_permitted, "the system is shutting down");
  }
  std::vector<Generation> before;
  for (const Slot slot : *slots) before.push_back(parts_.supervision.instance(slot).generation);
  const bool first = first_time(request);
  if (first && slots->size() > 1) {
    replace_one_by_one(*slots);
  } else if (first) {
    parts_.supervision.apply(WantRestart{slots->front()});
  }
  wait(request, [this, slots = *slots, before, first]() -> Outcome {
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const auto& instance = parts_.supervision.instance(slots[i]);
      const bool fresh = first ? instance.generation != before[i]
                               : !parts_.rollout.waits(parts_.supervision.state(), slots[i]);
      if (fresh && gave_up(instance)) {
        return Result<ipc::Json>(make_error(
            Errc::exec_failed,
            plan_.instances[slots[i]].name + ": " +
                reason(plan_, parts_.supervision.state(), slots[i], base::monotonic_ns())));
      }
      if (!fresh || !is_up(instance)) return std::nullopt;
    }
    return Result<ipc::Json>(ipc::Json{{"names", names(slots)}});
  });
  return {};
}

Result<void> ControlApi::events(const ClientRequest& request) {
  std::uint64_t since = 0;
  bool follow = false;
  ipc::FieldReader fields("events", request.params);
  if (fields.optional("since", since).optional("follow", follow).failed()) return fields.error();
  const auto page = parts_.journal.read(since, events_per_answer);
  auto list = ipc::Json::array();
  for (const auto& event : page.events) list.push_back(parts_.journal.render(event));
  const bool complete = page.events.size() < events_per_answer;
  parts_.server.answer(request.client, request.id,
                       {{"events", std::move(list)},
                        {"next", page.next},
                        {"gap", page.gap},
                        {"complete", complete}});
  // A reader that is behind asks for the next page; it follows from the last one on.
  if (follow && complete) followers_.push_back(request.client);
  return {};
}

void ControlApi::happened(const EventRecord& event) {
  if (followers_.empty()) return;
  const auto rendered = parts_.journal.render(event);
  for (const ClientId client : followers_)
    parts_.server.notify(client, ipc::method::event, rendered);
}

Result<void> ControlApi::log_files(const ClientRequest& request) {
  const auto slots = named(request);
  if (!slots) return slots.error();
  auto files = ipc::Json::array();
  for (const Slot slot : *slots) {
    files.push_back({{"name", plan_.instances[slot].name}, {"path", parts_.logs.path(slot)}});
  }
  parts_.server.answer(request.client, request.id, {{"files", std::move(files)}});
  return {};
}

Result<void> ControlApi::connect_service(const ClientRequest& request) {
  const auto wanted = ipc::decode<ipc::ServiceConnect>(request.params);
  if (!wanted) return wanted.error();
  const TimeNs patience = std::min<std::uint64_t>(wanted->timeout_ms, 3'600'000) * 1'000'000;
  parts_.sessions.connect(
      std::nullopt, wanted->service, base::monotonic_ns() + patience,
      [this, client = request.client, id = request.id](Result<Sessions::Connected> connected) {
        if (!connected) return parts_.server.fail(client, id, connected.error());
        const int fd = connected->socket.get();
        parts_.server.answer(client, id,
                             ipc::encode(ipc::ServiceConnectAnswer{connected->pair, "unix"}),
                             std::span<const int>(&fd, 1));
      });
  return {};
}

Result<void> ControlApi::queues(const ClientRequest& request) {
  std::string name;
  ipc::FieldReader fields(request.method, request.params);
  if (fields.optional("name", name).failed()) return fields.error();
  auto report = parts_.letters.report(name);
  if (!report) return report.error();
  parts_.server.answer(request.client, request.id, std::move(*report));
  return {};
}

// The journal itself knows what was requeued by which operation, so that a brain which dies between the two
// leaves no doubt.
Result<void> ControlApi::requeue(const ClientRequest& request) {
  std::string name;
  std::uint64_t task = 0;
  bool all = false;
  ipc::FieldReader fields(request.method, request.params);
  if (fields.required("name", name).optional("task", task).optional("all", all).failed()) {
    return fields.error();
  }
  if (all == (task != 0)) {
    return make_error(Errc::invalid_argument, request.method + " needs a task, or all");
  }
  auto requeued =
      parts_.letters.requeue(name, all ? std::nullopt : std::optional(task), operation_of(request));
  if (!requeued) return requeued.error();
  parts_.server.answer(request.client, request.id, std::move(*requeued));
  return {};
}

// Everything is up, or has failed, or waits for something that has failed.
ControlApi::Outcome ControlApi::settled() const {
  if (parts_.supervision.state().stopping) {
    return make_error(Errc::stopped, "the system is on its way down");
  }
  auto failed = ipc::Json::array();
  for (Slot slot = 0; slot < plan_.first_spare(); ++slot) {
    const auto& instance = parts_.supervision.instance(slot);
    const bool waits = instance.status == InstanceStatus::waiting;
    const bool down = instance.status == InstanceStatus::disabled;
    if (is_up(instance) || down) continue;
    if (!gave_up(instance) && !waits) return std::nullopt;
    failed.push_back(
        {{"name", plan_.instances[slot].name},
         {"reason", reason(plan_, parts_.supervision.state(), slot, base::monotonic_ns())}});
  }
  return Result<ipc::Json>(ipc::Json{{"failed", std::move(failed)}});
}

void ControlApi::wait(const ClientRequest& request, std::function<Outcome()> look) {
  waiting_.push_back({request.client, request.id, std::move(look)});
  changed();
}

void ControlApi::changed() {
  std::erase_if(waiting_, [this](const Waiting& waiting) {
    const auto outcome = waiting.look();
    if (!outcome) return false;
    if (*outcome) {
      parts_.server.answer(waiting.client, waiting.id, **outcome);
    } else {
      parts_.server.fail(waiting.client, waiting.id, outcome->error());
    }
    return true;
  });
}

void ControlApi::gone(ClientId client) {
  std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.client == client; });
  std::erase(followers_, client);
  std::erase_if(shutdown_waiters_, [&](const auto& waiter) { return waiter.first == client; });
}

void ControlApi::finished() {
  for (const auto& [client, id] : shutdown_waiters_) {
    parts_.server.answer(client, id, ipc::Json::object());
  }
  shutdown_waiters_.clear();
}

}  // namespace bulkhead::supervisor
