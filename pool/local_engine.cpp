// | tag        | writer             | reader                    | visible after it            | killed in between |
// |------------|--------------------|---------------------------|-----------------------------|-------------------|
// | local.stop | LocalEngine::cancel | local_stop_is_requested() | nothing but the wish itself | private memory    |
#include "pool/local_engine.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>

#include "base/fd.hpp"
#include "pool/task_registry.hpp"
#include "pool/task_wire.hpp"
#include "pool/zygote.hpp"

namespace bulkhead::pool {
namespace {

// What the task that a thread runs may ask.
struct LocalTask {
  const std::atomic<bool>* cancelled;
  std::chrono::nanoseconds timeout;
  std::chrono::steady_clock::time_point began;
  const detail::ClaimSlot* slot = nullptr;  // of a range: where each item's beginning stands
  bool is_late() const {
    if (timeout.count() == 0) return false;
    // relaxed: of this thread.
    const auto start =
        slot != nullptr ? std::chrono::nanoseconds(slot->started_ns.load(std::memory_order_relaxed))
                        : began.time_since_epoch();
    return std::chrono::steady_clock::now().time_since_epoch() - start >= timeout;
  }
};
thread_local const LocalTask* local_task = nullptr;

// The descriptors of the submitter, in the same process.
class LocalAttachments final : public detail::AttachmentSource {
 public:
  explicit LocalAttachments(std::vector<detail::Attachment> attachments)
      : attachments_(std::move(attachments)) {}
  Result<int> take(std::uint64_t number) override {
    for (const auto& attachment : attachments_) {
      if (attachment.number != number) continue;
      auto copy = base::duplicate(attachment.fd);
      if (!copy) return copy.error();
      return copy->release();
    }
    return make_error(Errc::protocol_violation, "no such attachment");
  }
  std::shared_ptr<void>& kept(std::uint64_t number, bool writable) override {
    return kept_[{number, writable}];
  }

 private:
  const std::vector<detail::Attachment> attachments_;
  std::map<std::pair<std::uint64_t, bool>, std::shared_ptr<void>> kept_;
};

unsigned thread_count(const PoolOptions& options) {
  return std::clamp(options.workers == 0 ? usable_processors() : options.workers, 1U,
                    detail::ClaimLedger::slots_max);
}

}  // namespace

bool local_stop_is_requested() noexcept {
  if (local_task == nullptr) return false;
  // sync local.stop: acquire; pairs with LocalEngine::cancel; nothing else is published
  return local_task->cancelled->load(std::memory_order_acquire) || local_task->is_late();
}

std::shared_ptr<LocalEngine> LocalEngine::start(PoolOptions options) {
  std::shared_ptr<LocalEngine> engine(new LocalEngine(std::move(options)));
  engine->resize(engine->options_.workers);
  return engine;
}

LocalEngine::LocalEngine(PoolOptions options)
    : options_(std::move(options)),
      in_caller_(options_.where == Where::caller),
      waiting_(std::make_shared<Waiting>()) {}

LocalEngine::~LocalEngine() { stop(); }

// Threads cannot be ended: what runs is asked to stop, and waited for.
void LocalEngine::stop() {
  Lock lock(mutex_);
  closing_ = true;
  queue_.clear();
  for (const auto& [number, work] : std::map(pending_)) {
    // sync local.stop: release; pairs with local_stop_is_requested(); nothing else is published
    work->cancelled.store(true, std::memory_order_release);
    if (!work->running) {
      finish(lock, work, [&work = work] { return work->state->fail(failure_of_end()); });
    }
  }
  work_.notify_all();
  room_.notify_all();
  auto threads = std::exchange(threads_, {});
  lock.unlock();
  for (auto& thread : threads) thread.join();
}

std::shared_ptr<detail::TaskState> LocalEngine::submit(std::uint32_t function,
                                                       detail::BodyWriter body,
                                                       const TaskOptions& options) {
  auto work = make_call(function, std::move(body), options);
  Lock lock(mutex_);
  return enqueue(lock, std::move(work));
}

std::shared_ptr<detail::TaskState> LocalEngine::submit_range(detail::RangeWork range) {
  auto work = make_range(range);
  Lock lock(mutex_);
  auto job = RangeJob::create(std::move(range), detail::ClaimLedger::slots_max);
  if (!job) return refuse(lock, work, failure_of(FailureCause::could_not_start, job.error()));
  work->range = std::move(*job);
  return enqueue(lock, std::move(work));
}

std::shared_ptr<detail::TaskState> LocalEngine::enqueue(Lock& lock, WorkPtr work) {
  // Our own threads, in a task or in a call of a future, are those that would make room.
  const bool is_ours = std::any_of(threads_.begin(), threads_.end(), [](const auto& thread) {
    return thread.get_id() == std::this_thread::get_id();
  });
  room_.wait(lock, [&] {
    return is_ours || closing_ || pending_.empty() || in_caller_ ||
           (pending_.size() < options_.pending_max &&
            pending_bytes_ + work->bytes() <= options_.pending_bytes_max);
  });
  if (closing_) {
    return refuse(lock, work,
                  failure_of(FailureCause::closed, make_error(Errc::closed, "the pool has ended")));
  }
  number(work);
  pending_.emplace(work->number, work);
  pending_bytes_ += work->bytes();
  if (in_caller_) {
    run(lock, work, 0);
  } else {
    queue_[work->options.priority].push_back(work);
    work_.notify_all();
  }
  return work->state;
}

void LocalEngine::number(const WorkPtr& work) {
  work->number = ++last_number_;
  work->state = std::make_shared<detail::TaskState>(work->number, weak_from_this(), waiting_);
}

std::shared_ptr<detail::TaskState> LocalEngine::refuse(Lock& lock, const WorkPtr& work,
                                                       const TaskFailure& why) {
  number(work);
  finish(lock, work, [&] { return work->state->fail(why); });
  return work->state;
}

// A range stays in the queue as long as there is something to claim.
LocalEngine::WorkPtr LocalEngine::next_work() {
  for (auto entry = queue_.begin(); entry != queue_.end(); entry = queue_.erase(entry)) {
    auto& line = entry->second;
    while (!line.empty()) {
      const WorkPtr work = line.front();
      if (work->range && work->range->has_claims()) return work;
      line.pop_front();
      if (!work->range) return work;
    }
  }
  return nullptr;
}

void LocalEngine::live(unsigned index) {
  Lock lock(mutex_);
  for (;;) {
    if (closing_) return;
    const WorkPtr work = index < wanted_ ? next_work() : nullptr;
    if (work != nullptr) {
      run(lock, work, index);
    } else {
      work_.wait(lock);
    }
  }
}

void LocalEngine::run(Lock& lock, const WorkPtr& work, unsigned index) {
  ++stats_.busy;
  work->running = true;
  if (work->range) {
    run_part(lock, work, index);
  } else {
    run_call(lock, work);
  }
  --stats_.busy;
}

void LocalEngine::run_call(Lock& lock, const WorkPtr& work) {
  const auto* const function = find_task(work->function);
  LocalAttachments attachments(work->attachments);
  detail::BodyReader from(work->body, &attachments);
  detail::BodyWriter result;
  std::optional<TaskFailure> failure;
  const LocalTask task{&work->cancelled, work->options.timeout, std::chrono::steady_clock::now()};
  lock.unlock();
  const auto* const outer = std::exchange(local_task, &task);
  try {
    function->call(from, result);
  } catch (...) {
    failure = unpack_failure_report(pack_current_exception());
  }
  local_task = outer;
  if (task.is_late()) {
    failure = failure_of(FailureCause::timed_out,
                         make_error(Errc::timed_out, "the task took longer than its time limit"));
  }
  lock.lock();
  // relaxed: written under the lock that we hold.
  if (work->cancelled.load(std::memory_order_relaxed)) {
    failure = closing_ ? failure_of_end()
                       : failure_of(FailureCause::cancelled,
                                    make_error(Errc::cancelled, "the task stopped"));
  }
  finish(lock, work, [&] {
    if (failure) return work->state->fail(std::move(*failure));
    auto source = std::make_shared<LocalAttachments>(result.take_attachments());
    return work->state->answer({result.take_bytes(), std::move(source)});
  });
}

namespace {

// Takes the results of one thread's part.
class LocalHost final : public detail::RangeHost {
 public:
  LocalHost(RangeJob& job, std::mutex& mutex) : job_(job), mutex_(mutex) {}
  void deliver(std::uint32_t item, const detail::BodyWriter& result) override {
    LocalAttachments attachments(result.attachments());
    detail::BodyReader from(result.bytes(), &attachments);
    const std::lock_guard lock(mutex_);
    job_.take_value(item, from);
  }
  void fail(std::uint32_t item) override {
    auto failure = unpack_failure_report(pack_current_exception());
    const std::lock_guard lock(mutex_);
    job_.take_failure(item, std::move(failure));
  }
  bool is_stopped() override { return local_task != nullptr && local_task->is_late(); }

 private:
  RangeJob& job_;
  std::mutex& mutex_;
};

}  // namespace

void LocalEngine::run_part(Lock& lock, const WorkPtr& work, unsigned index) {
  const auto part = work->range->next_part(index);
  if (part) {
    auto& ledger = *reinterpret_cast<detail::ClaimLedger*>(work->range->memory()->bytes().data());
    LocalAttachments attachments(work->attachments);
    detail::BodyReader from(work->body, &attachments);
    std::optional<TaskFailure> failure;
    const LocalTask task{&work->cancelled, work->options.timeout, {}, ledger.slot(index)};
    LocalHost host(*work->range, mutex_);
    detail::ClaimSeat seat(ledger, index, part->open);
    lock.unlock();
    const auto* const outer = std::exchange(local_task, &task);
    try {
      detail::RangeCall call{seat, from, host};
      find_task(work->function)->range(call);
    } catch (...) {
      failure = unpack_failure_report(pack_current_exception());
    }
    local_task = outer;
    lock.lock();
    work->range->end_part(index);
    if (failure) work->range->give_up(*failure);
  }
  if (!pending_.contains(work->number) || !work->range->is_idle()) return;
  if (!work->range->settle()) return run_part(lock, work, index);
  stats_.failed += work->range->failures();
  outcomes_.emplace(work->number, work->range->outcome());
  finish(lock, work, [&] { return work->state->answer({}); });
}

void LocalEngine::finish(Lock& lock, const WorkPtr& work,
                         std::function<detail::TaskState::Calls()> end) {
  if (pending_.erase(work->number) != 0) pending_bytes_ -= work->bytes();
  auto calls = end();
  ++(work->state->failure() != nullptr ? stats_.failed : stats_.done);
  room_.notify_all();
  if (pending_.empty()) idle_.notify_all();
  lock.unlock();
  for (auto& call : calls) call();
  lock.lock();
}

detail::RangeOutcome LocalEngine::range_outcome(const detail::TaskState& state) {
  const Lock lock(mutex_);
  auto node = outcomes_.extract(state.number());
  return node.empty() ? detail::RangeOutcome{} : std::move(node.mapped());
}

bool LocalEngine::cancel(const detail::TaskState& state) {
  Lock lock(mutex_);
  const auto found = pending_.find(state.number());
  if (found == pending_.end()) return false;
  const WorkPtr work = found->second;
  // sync local.stop: release; pairs with local_stop_is_requested(); nothing else is published
  work->cancelled.store(true, std::memory_order_release);
  if (work->running) return true;
  for (auto& [priority, line] : queue_) std::erase(line, work);
  finish(lock, work, [&] {
    return work->state->fail(
        failure_of(FailureCause::cancelled,
                   make_error(Errc::cancelled, "the task was cancelled before it ran")));
  });
  return true;
}

// Threads that are too many get nothing more to do.
void LocalEngine::resize(unsigned workers) {
  const Lock lock(mutex_);
  PoolOptions wanted = options_;
  wanted.workers = workers;
  wanted_ = in_caller_ ? 1 : thread_count(wanted);
  stats_.workers = wanted_;
  while (!in_caller_ && threads_.size() < wanted_) {
    const auto index = static_cast<unsigned>(threads_.size());
    threads_.emplace_back([this, index] { live(index); });
  }
  work_.notify_all();
}

Result<void> LocalEngine::drain(Deadline deadline) {
  Lock lock(mutex_);
  return drain_until_empty(lock, idle_, deadline, [this] { return pending_.size(); });
}

PoolStats LocalEngine::stats() const {
  const Lock lock(mutex_);
  return stats_;
}

}  // namespace bulkhead::pool
