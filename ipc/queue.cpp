// Queue, Lease and Completion: what a program sees of dispatcher and consumer.
#include <bulkhead/queue.hpp>

#include "ipc/endpoint.hpp"
#include "ipc/queue_consumer.hpp"
#include "ipc/queue_dispatcher.hpp"

namespace bulkhead {

Completion::Completion(std::shared_ptr<ipc::QueueDispatcher> queue,
                       std::unique_ptr<ipc::QueueOutcome> outcome) noexcept
    : queue_(std::move(queue)),
      outcome_(std::move(outcome)),
      uncaught_(ipc::uncaught_exceptions()) {}
Completion::Completion(Completion&&) noexcept = default;
Completion& Completion::operator=(Completion&& other) noexcept {
  if (this != &other) {
    settle();
    queue_ = std::move(other.queue_);
    outcome_ = std::move(other.outcome_);
    uncaught_ = other.uncaught_;
  }
  return *this;
}
Completion::~Completion() { settle(); }

TaskId Completion::task() const noexcept { return outcome_->task; }
std::span<const std::byte> Completion::bytes() const noexcept { return outcome_->bytes; }
bool Completion::quarantined() const noexcept { return outcome_->quarantined; }
std::uint32_t Completion::attempts() const noexcept { return outcome_->attempts; }
std::string_view Completion::worker() const noexcept { return outcome_->worker_name; }
bool Completion::redelivered() const noexcept { return outcome_->redelivered; }

void Completion::acknowledge() noexcept {
  const auto queue = std::move(queue_);
  if (!queue) return;
  queue->settled(*outcome_);
  outcome_->bytes = {};
}

void Completion::release() noexcept {
  const auto queue = std::move(queue_);
  if (!queue) return;
  // The outcome goes back; what the caller may still ask of this object stays.
  auto copy = std::make_unique<ipc::QueueOutcome>(*outcome_);
  outcome_->bytes = {};
  queue->returned(std::move(copy));
}

void Completion::settle() noexcept {
  if (!queue_) return;
  if (ipc::uncaught_exceptions() > uncaught_) {
    release();
  } else {
    acknowledge();
  }
}

Lease::Lease(std::shared_ptr<ipc::QueueConsumer> queue, Message message, TaskId task,
             std::uint32_t attempt) noexcept
    : queue_(std::move(queue)),
      message_(std::move(message)),
      task_(task),
      attempt_(attempt),
      uncaught_(ipc::uncaught_exceptions()) {}

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    settle();
    queue_ = std::move(other.queue_);
    message_ = std::move(other.message_);
    task_ = other.task_;
    attempt_ = other.attempt_;
    uncaught_ = other.uncaught_;
  }
  return *this;
}
Lease::~Lease() { settle(); }

std::span<const std::byte> Lease::bytes() const noexcept {
  return queue_ ? message_.bytes().subspan(ipc::queue_frame_bytes) : std::span<const std::byte>();
}

Result<void> Lease::complete(std::span<const std::byte> result, Deadline deadline) {
  if (!queue_) return make_error(Errc::invalid_argument, "the lease is over");
  auto done = queue_->complete(message_, result, deadline);
  if (done) queue_.reset();
  return done;
}

void Lease::release() noexcept {
  const auto queue = std::move(queue_);
  if (queue) queue->give_back(message_, ipc::QueueFrame::Kind::released);
}

// A program that throws at each attempt would get the task for ever if that were nobody's fault.
void Lease::settle() noexcept {
  const auto queue = std::move(queue_);
  if (!queue) return;
  const bool failed = ipc::uncaught_exceptions() > uncaught_;
  queue->give_back(message_,
                   failed ? ipc::QueueFrame::Kind::failed : ipc::QueueFrame::Kind::released);
}

namespace {

Error wrong_end(const char* what, const char* whose) {
  return make_error(Errc::invalid_argument,
                    std::string(what) + " is for the worker at the queue's \"" + whose + "\" end");
}

}  // namespace

Queue::Queue(std::shared_ptr<ipc::QueueDispatcher> dispatcher) noexcept
    : dispatcher_(std::move(dispatcher)) {}
Queue::Queue(std::shared_ptr<ipc::QueueConsumer> consumer) noexcept
    : consumer_(std::move(consumer)) {}

Result<TaskId> Queue::push(std::span<const std::byte> bytes, Deadline deadline) {
  if (!dispatcher_) return wrong_end("push", "from");
  return dispatcher_->push(bytes, deadline);
}
Result<TaskId> Queue::try_push(std::span<const std::byte> bytes) {
  return push(bytes, Deadline::now());
}
Result<Completion> Queue::next_completion(Deadline deadline) {
  if (!dispatcher_) return wrong_end("next_completion", "from");
  return dispatcher_->next_completion(deadline);
}
Result<Lease> Queue::lease(Deadline deadline) {
  if (!consumer_) return wrong_end("lease", "to");
  return consumer_->lease(deadline);
}

std::size_t Queue::message_max() const noexcept {
  return dispatcher_ ? dispatcher_->message_max() : consumer_->message_max();
}
QueueStats Queue::stats() const { return dispatcher_ ? dispatcher_->stats() : consumer_->stats(); }

}  // namespace bulkhead
