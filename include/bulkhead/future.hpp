// What a pool gives for a task: its result when there is one, or why there is none.
#pragma once

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/task_body.hpp>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

namespace bulkhead {

enum class FailureCause : std::uint8_t {
  exception,        // the task threw
  error,            // the task returned an Error
  signal,           // its worker died by a signal
  out_of_memory,    // its worker got no more memory
  exited,           // it ended its worker
  timed_out,        // it took longer than its time limit
  cancelled,        // somebody cancelled it
  could_not_start,  // no worker could be had to run it
  closed,           // the pool ended before the task did
};
const char* to_string(FailureCause) noexcept;

// A frame of a worker that died: an offset in a file, and what stands there.
struct TaskFrame {
  std::string module;
  std::uint64_t offset = 0;
  std::string function, file;  // "" where it is not known
  int line = 0;                // likewise 0
};

// Purpose: says why a task has no result. A value.
struct TaskFailure {
  struct Thrown {
    std::string type, what;
    std::string mangled;  // the type's name in the ABI
  };
  // "std::out_of_range: no such key", "the task's worker died: SIGSEGV reading 0x0"; where: see backtrace().
  std::string in_words() const;
  // The stack of a worker that died by a signal, innermost first; empty where it left none.
  // Blocking: starts bulkhead-symboliser, a program of its own, to look functions and lines up (tens of milliseconds);
  //   without that program there are offsets alone.
  std::vector<TaskFrame> backtrace() const;

  FailureCause cause = FailureCause::exception;
  Error error;                 // what get() returns
  std::vector<Thrown> thrown;  // outermost first: std::throw_with_nested nests
  int number = 0;              // of the signal, or the exit code
  unsigned attempts = 0;       // how often it was tried
  Bytes crash;                 // the raw report of the worker, for backtrace()
};

namespace detail {

// The shared state of futures. Any thread.
class TaskState;
struct TaskAnswer {
  Bytes bytes;
  std::shared_ptr<AttachmentSource> attachments;
};
// Errors: timed_out, stopped; else the task has ended.
Result<void> await(const TaskState&, Deadline);
bool is_ready(const TaskState&) noexcept;
// After its end. Null where the other has something to say.
const TaskAnswer* answer_of(const TaskState&) noexcept;
const TaskFailure* failure_of(const TaskState&) noexcept;
bool cancel(TaskState&);
void when_ready(TaskState&, std::function<void()>);
// Rethrows what the task threw, as far as its type is registered.
[[noreturn]] void rethrow(const TaskFailure&);
void register_thrower(const char* mangled, std::function<void(const std::string& what)>);
Result<std::size_t> await_any(std::span<const std::shared_ptr<TaskState>>,
                              const std::vector<bool>& seen, Deadline);

}  // namespace detail

// Purpose: the result of a task that runs, or will run, in another process.
// Threads: any; copies are one future. Ownership: may outlive its pool, whose end ends it with `closed`.
// Blocking: get(), value() and wait() up to their deadline. Where the task is short they look for the result
//   themselves for a moment before they sleep.
// After a crash of the worker: as TaskOptions::on_crash says; no other future notices.
template <class T>
class Future {
 public:
  explicit Future(std::shared_ptr<detail::TaskState> state) noexcept : state_(std::move(state)) {}

  // The result, decoded anew at each call. Errors: of the deadline, timed_out or stopped, with is_ready() false; else the
  // task's own, which failure() tells in full.
  [[nodiscard]] Result<T> get(Deadline deadline = Deadline::never()) const {
    if (auto ready = detail::await(*state_, deadline); !ready) return ready.error();
    const auto* const answer = detail::answer_of(*state_);
    if (answer == nullptr) return detail::failure_of(*state_)->error;
    if constexpr (std::is_void_v<T>) {
      return {};
    } else {
      detail::BodyReader from(answer->bytes, answer->attachments.get());
      return from.read<T>();
    }
  }
  // As get(), for who prefers exceptions: what the task threw, as its own type where that is known (the standard's
  // are, others through rethrow_as), and boost::system::system_error for all else.
  T value(Deadline deadline = Deadline::never()) const {
    auto result = get(deadline);
    if (!result && failure() != nullptr) detail::rethrow(*failure());
    if constexpr (std::is_void_v<T>) {
      result.value();
    } else {
      return std::move(result).value();
    }
  }
  [[nodiscard]] Result<void> wait(Deadline deadline = Deadline::never()) const {
    return detail::await(*state_, deadline);
  }

  bool is_ready() const noexcept { return detail::is_ready(*state_); }
  // Null as long as it is not ready, and when it has a result.
  const TaskFailure* failure() const noexcept { return detail::failure_of(*state_); }

  // A task that waits is taken out; one that runs is asked to stop (Pool::stop_requested), then gets SIGTERM, then
  // SIGKILL: its worker alone. False when it has ended already.
  bool cancel() const { return detail::cancel(*state_); }

  // Calls `then(Future)` once it is ready: at once, or on the pool's thread. There it may submit, and must neither wait nor
  // throw nor end the pool.
  template <class Then>
  void then(Then continuation) const {
    detail::when_ready(*state_, [future = *this, next = std::move(continuation)]() mutable {
      next(std::move(future));
    });
  }

  const std::shared_ptr<detail::TaskState>& state() const noexcept { return state_; }

 private:
  std::shared_ptr<detail::TaskState> state_;
};

// E can be made of its what(): value() throws it again as itself.
// Threads: any. Ownership: for the life of the process.
template <class E>
void rethrow_as() {
  detail::register_thrower(typeid(E).name(), [](const std::string& what) { throw E(what); });
}

// Purpose: the futures of a list in the order in which they become ready, each once.
//   for (AsCompleted done(futures); auto index = done.next();) use(futures[*index]);
// Threads: one. Ownership: has copies of the futures. Blocking: next(), up to its deadline.
class AsCompleted {
 public:
  template <class T>
  explicit AsCompleted(const std::vector<Future<T>>& futures) : given_(futures.size(), false) {
    for (const auto& future : futures) states_.push_back(future.state());
  }
  // The position of one that has become ready. Errors: not_found when all have been given; timed_out, stopped.
  [[nodiscard]] Result<std::size_t> next(Deadline deadline = Deadline::never()) {
    auto index = detail::await_any(states_, given_, deadline);
    if (index) given_[*index] = true;
    return index;
  }

 private:
  std::vector<std::shared_ptr<detail::TaskState>> states_;
  std::vector<bool> given_;
};

}  // namespace bulkhead
