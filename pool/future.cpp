#include <bulkhead/future.hpp>

#include <algorithm>
#include <map>
#include <new>
#include <stdexcept>

#include "pool/engine.hpp"
#include "pool/task_state.hpp"

namespace bulkhead {

const char* to_string(FailureCause cause) noexcept {
  switch (cause) {
    case FailureCause::exception: return "exception";
    case FailureCause::error: return "error";
    case FailureCause::signal: return "signal";
    case FailureCause::out_of_memory: return "out_of_memory";
    case FailureCause::exited: return "exited";
    case FailureCause::timed_out: return "timed_out";
    case FailureCause::cancelled: return "cancelled";
    case FailureCause::could_not_start: return "could_not_start";
    case FailureCause::closed: return "closed";
  }
  return "?";
}

namespace detail {
namespace {

// A wait that a stop flag may end is looked at so often.
constexpr auto stop_slice = std::chrono::milliseconds(50);

// Until `done`, on a condition of the pool; the stop flag of the deadline included.
template <class Done>
Result<void> wait_on(pool::Waiting& waiting, Deadline deadline, const Done& done) {
  std::unique_lock lock(waiting.mutex);
  ++waiting.waiters;
  const auto leave = [&](Result<void> how) {
    --waiting.waiters;
    return how;
  };
  while (!done()) {
    if (deadline.stopped()) return leave(make_error(Errc::stopped, "wait for a task"));
    if (deadline.expired()) return leave(make_error(Errc::timed_out, "the task is not done"));
    auto until = deadline.when();
    if (deadline.stoppable()) until = std::min(until, Deadline::clock::now() + stop_slice);
    if (until == Deadline::clock::time_point::max()) {
      waiting.changed.wait(lock);
    } else {
      waiting.changed.wait_until(lock, until);
    }
  }
  return leave({});
}

using Throwers = std::map<std::string, std::function<void(const std::string&)>>;

template <class... E>
Throwers throwers_of() {
  Throwers throwers;
  (throwers.emplace(typeid(E).name(), [](const std::string& what) { throw E(what); }), ...);
  return throwers;
}

struct ThrowerTable {
  std::mutex mutex;
  Throwers by_name = throwers_of<std::runtime_error, std::logic_error, std::invalid_argument,
                                 std::domain_error, std::length_error, std::out_of_range,
                                 std::range_error, std::overflow_error, std::underflow_error>();
};
ThrowerTable& thrower_table() {
  static ThrowerTable table;
  return table;
}

}  // namespace

TaskState::Calls TaskState::finish(Status status) {
  const std::lock_guard lock(waiting_->mutex);
  // sync task.ready: release; pairs with status(); publishes answer and failure
  status_.store(status, std::memory_order_release);
  if (waiting_->waiters != 0) waiting_->changed.notify_all();
  return std::exchange(calls_, {});
}
TaskState::Calls TaskState::answer(TaskAnswer answer) {
  answer_ = std::move(answer);
  return finish(Status::answered);
}
TaskState::Calls TaskState::fail(TaskFailure failure) {
  failure_ = std::move(failure);
  return finish(Status::failed);
}

bool TaskState::call_later(std::function<void()>& call) {
  const std::lock_guard lock(waiting_->mutex);
  if (ready()) return false;
  calls_.push_back(std::move(call));
  return true;
}

Result<void> await(const TaskState& state, Deadline deadline) {
  if (state.ready()) return {};
  if (const auto pool = state.pool()) {
    pool->help(state, deadline);
    if (state.ready()) return {};
  }
  return wait_on(state.waiting(), deadline, [&] { return state.ready(); });
}

bool is_ready(const TaskState& state) noexcept { return state.ready(); }
const TaskAnswer* answer_of(const TaskState& state) noexcept { return state.answer(); }
const TaskFailure* failure_of(const TaskState& state) noexcept { return state.failure(); }

bool cancel(TaskState& state) {
  const auto pool = state.pool();
  return pool && pool->cancel(state);
}

void when_ready(TaskState& state, std::function<void()> call) {
  if (!state.call_later(call)) call();
}

Result<std::size_t> await_any(std::span<const std::shared_ptr<TaskState>> states,
                              const std::vector<bool>& seen, Deadline deadline) {
  std::size_t found = states.size();
  const auto look = [&] {
    for (std::size_t i = 0; i < states.size(); ++i) {
      if (!seen[i] && states[i]->ready()) {
        found = i;
        return true;
      }
    }
    return false;
  };
  const auto waits = std::find(seen.begin(), seen.end(), false);
  if (waits == seen.end()) return make_error(Errc::not_found, "every future has been given");
  if (look()) return found;
  // Futures of several pools: each pool tells its own, so the others are looked at in slices.
  const auto& first = *states[static_cast<std::size_t>(waits - seen.begin())];
  const bool one_pool = std::all_of(states.begin(), states.end(), [&](const auto& state) {
    return &state->waiting() == &first.waiting();
  });
  for (;;) {
    const auto slice =
        one_pool ? deadline
        : std::min(deadline.when(), Deadline::clock::now() + stop_slice) == deadline.when()
            ? deadline
            : Deadline::in(stop_slice);
    const auto waited = wait_on(first.waiting(), slice, look);
    if (waited) return found;
    if (deadline.stopped() || deadline.expired() || one_pool) return waited.error();
  }
}

void register_thrower(const char* mangled, std::function<void(const std::string&)> thrower) {
  auto& table = thrower_table();
  const std::lock_guard lock(table.mutex);
  table.by_name[mangled] = std::move(thrower);
}

void rethrow(const TaskFailure& failure) {
  if (failure.cause == FailureCause::exception && !failure.thrown.empty()) {
    std::function<void(const std::string&)> thrower;
    {
      auto& table = thrower_table();
      const std::lock_guard lock(table.mutex);
      const auto found = table.by_name.find(failure.thrown.front().mangled);
      if (found != table.by_name.end()) thrower = found->second;
    }
    if (thrower) thrower(failure.thrown.front().what);
  }
  if (failure.cause == FailureCause::out_of_memory) throw std::bad_alloc();
  throw_exception_from_error(failure.error, BOOST_CURRENT_LOCATION);
}

}  // namespace detail
}  // namespace bulkhead
