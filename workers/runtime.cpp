// Worker: the face of ControlLink and Serving that a program sees, and the frame around its body.
#include <bulkhead/worker.hpp>

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <nlohmann/json.hpp>
#include <typeinfo>
#include <utility>

#include "base/urgency.hpp"
#include "ipc/wake.hpp"
#include "workers/control_link.hpp"
#include "workers/crash_reporter.hpp"
#include "workers/inherited.hpp"
#include "workers/serving.hpp"
#include "workers/session_connector.hpp"
#include "workers/unwound_by_none.hpp"

namespace bulkhead {

struct Worker::State {
  std::shared_ptr<workers::ControlLink> control;
  ipc::HelloAnswer hello;
  std::vector<std::string> arguments;
};

namespace {

constexpr int exit_failed = 1;
constexpr int exit_no_supervisor = 64;
constexpr int exit_bad_config = 78;

// Reached from the signal handler, so it is a plain pointer to what lives until after the last signal.
std::atomic<workers::ControlLink*> stoppable{nullptr};

void on_terminate_signal(int) {
  // relaxed: set by the same thread before the handler was installed
  if (auto* const control = stoppable.load(std::memory_order_relaxed)) {
    control->stop_from_signal();
  }
}

void set_disposition(int number, void (*action)(int)) noexcept {
  struct sigaction before = {};
  if (::sigaction(number, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) return;
  struct sigaction wanted = {};
  wanted.sa_handler = action;
  ::sigaction(number, &wanted, nullptr);  // without SA_RESTART: a sleep ends and looks around
}

// An exception ends in tell_uncaught_and_abort with the stack of the throw intact.
Result<void> call(const std::function<Result<void>(Worker&)>& body, Worker& self) {
  struct Call {
    const std::function<Result<void>(Worker&)>& body;
    Worker& self;
    Result<void> result;
  } now{body, self, {}};
  workers::call_unwound_by_none(
      [](void* call) {
        auto& it = *static_cast<Call*>(call);
        it.result = it.body(it.self);
      },
      &now);
  return std::move(now.result);
}

int report(std::string_view who, const Error& error) {
  std::fprintf(stderr, "bulkhead: %.*s: %s\n", static_cast<int>(who.size()), who.data(),
               error.to_string().c_str());
  return error.is(Errc::bad_config) ? exit_bad_config : exit_failed;
}

}  // namespace

int Worker::run(int argc, char** argv, const std::function<Result<void>(Worker&)>& body) {
  const char* const program = argc > 0 ? argv[0] : "worker";
  auto inherited = workers::take_inherited();
  if (!inherited) return report(program, inherited.error());
  if (!inherited->has_value()) {
    std::fprintf(stderr,
                 "bulkhead: %s is a worker and needs a supervisor: name it in a config and use "
                 "\"bulkhead run CONFIG\"\n",
                 program);
    return exit_no_supervisor;
  }
  ipc::register_membarrier();
  std::set_terminate(workers::tell_uncaught_and_abort);
  set_disposition(SIGPIPE, SIG_IGN);

  auto control =
      workers::ControlLink::open(std::move((*inherited)->control), (*inherited)->generation);
  if (!control) return report(program, control.error());
  stoppable.store(control->get(), std::memory_order_relaxed);  // relaxed: see on_terminate_signal
  set_disposition(SIGTERM, on_terminate_signal);

  auto hello = (*control)->greet(Deadline::never().unless((*control)->stop_flag()));
  base::become_ordinary();  // what follows is the user's, and may take long
  int status = 0;
  if (!hello) {
    status = hello.error().is(Errc::stopped) ? 0 : report(program, hello.error());
  } else if (const auto confined = (*control)->confine(); !confined) {
    status = report(hello->name, confined.error());
  } else {
    auto state = std::make_unique<State>();
    state->control = *control;
    state->hello = std::move(*hello);
    if (argc > 1) state->arguments.assign(argv + 1, argv + argc);
    Worker self(std::move(state));
    const auto result = call(body, self);
    if (!result && !result.error().is(Errc::stopped)) status = report(self.name(), result.error());
  }
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;  // we are leaving, and the handler's target goes first
  ::sigaction(SIGTERM, &ignore, nullptr);
  stoppable.store(nullptr, std::memory_order_relaxed);  // relaxed: the handler is gone
  (*control)->close();
  return status;
}

Worker::Worker(std::unique_ptr<State> state) : state_(std::move(state)) {}
Worker::~Worker() = default;

const std::string& Worker::name() const noexcept { return state_->hello.name; }
const std::string& Worker::worker() const noexcept { return state_->hello.worker; }
std::uint32_t Worker::index() const noexcept { return state_->hello.index; }
std::uint32_t Worker::generation() const noexcept { return state_->hello.generation; }
const nlohmann::json& Worker::config() const noexcept { return state_->hello.config; }
const std::vector<std::string>& Worker::arguments() const noexcept { return state_->arguments; }

Result<Channel> Worker::channel(std::string_view link) {
  auto taken = state_->control->take_link(link, workers::ControlLink::HowMany::one);
  if (!taken) return taken.error();
  return std::move(taken->front());
}

Result<std::vector<Channel>> Worker::channels(std::string_view link) {
  return state_->control->take_link(link, workers::ControlLink::HowMany::all);
}

Result<Topic> Worker::topic(std::string_view link) { return state_->control->take_topic(link); }
Result<Queue> Worker::queue(std::string_view link) { return state_->control->take_queue(link); }

Client Worker::client(std::string_view service) {
  return Client(std::make_unique<workers::SessionConnector>(state_->control, std::string(service)));
}

Result<void> Worker::serve(std::string_view service, const Service& methods, Deadline deadline) {
  const auto& provides = state_->hello.provides;
  if (std::find(provides.begin(), provides.end(), service) == provides.end()) {
    return make_error(Errc::not_found, "service \"" + std::string(service) +
                                           "\" cannot be served: \"provides\" of worker " +
                                           worker() + " does not name it");
  }
  return workers::Serving(*state_->control, std::string(service), methods).until(deadline);
}

Result<SealedTicket> Worker::publish(const SealedBuffer& buffer, Deadline deadline) {
  return state_->control->publish(buffer, deadline);
}
Result<SealedBuffer> Worker::open_sealed(SealedTicket ticket, Deadline deadline) {
  return state_->control->open_sealed(ticket, deadline);
}
Result<void> Worker::withdraw(SealedTicket ticket, Deadline deadline) {
  return state_->control->withdraw(ticket, deadline);
}
Result<std::vector<SealedTicket>> Worker::published(Deadline deadline) {
  return state_->control->published(deadline);
}

void Worker::ready() { state_->control->tell_ready(); }
void Worker::status(std::string_view text) { state_->control->tell_status(text); }
void Worker::beat() noexcept { state_->control->beat(); }

bool Worker::stopping() const noexcept {
  state_->control->glance();
  return state_->control->stop_flag().raised();
}

Deadline Worker::until_stop() const noexcept {
  return Deadline::never().unless(state_->control->stop_flag());
}

Deadline Worker::until_stop(std::chrono::nanoseconds at_most) const noexcept {
  return Deadline::in(at_most).unless(state_->control->stop_flag());
}

Deadline Worker::until_stop(Deadline::clock::time_point at_latest) const noexcept {
  return Deadline::at(at_latest).unless(state_->control->stop_flag());
}

Result<void> Worker::pause(std::chrono::nanoseconds duration) {
  const auto waited = state_->control->wait(until_stop(duration), [] { return false; });
  if (!waited && waited.error().is(Errc::timed_out)) return {};
  return waited;
}

Result<void> Worker::ended(const Error& error) const {
  if (error.is(Errc::stopped)) return {};
  return error;
}

}  // namespace bulkhead
