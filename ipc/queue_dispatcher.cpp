#include "ipc/queue_dispatcher.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "ipc/endpoint.hpp"
#include "ipc/wait_set.hpp"

namespace bulkhead::ipc {
Result<std::shared_ptr<QueueDispatcher>> QueueDispatcher::open(DispatcherSpec spec) {
  BULKHEAD_ASSERT(spec.desk != nullptr);
  if (spec.members.empty()) {
    return make_error(Errc::invalid_argument, spec.link + ": a queue without a worker");
  }
  std::size_t most = SIZE_MAX;
  for (const auto& member : spec.members) {
    most = std::min(most, member.channel.shared_endpoint()->spec().options.max_message);
  }
  if (most <= queue_frame_bytes) {
    return make_error(Errc::invalid_argument,
                      spec.link + ": max_message leaves no room for a task");
  }
  auto journal = QueueJournal::take_over(std::move(spec.journal),
                                         {.max_attempts = spec.max_attempts, .message_max = most});
  if (!journal) {
    Error error = journal.error();
    error.context = spec.link + ": " + error.context;
    return error;
  }
  for (const auto& member : spec.members) {
    if (member.worker < journal->shape().workers) continue;
    return make_error(Errc::invalid_argument,
                      spec.link + ": the journal knows no worker " + member.pair);
  }
  std::shared_ptr<QueueDispatcher> dispatcher(new QueueDispatcher(spec, std::move(*journal)));
  dispatcher->message_max_ = most - queue_frame_bytes;
  dispatcher->take_over(spec.workers);
  return dispatcher;
}

QueueDispatcher::QueueDispatcher(DispatcherSpec& spec, QueueJournal journal)
    : link_(std::move(spec.link)),
      desk_(std::move(spec.desk)),
      journal_(std::move(journal)),
      has_result_(journal_.shape().all_slots(), false) {
  for (auto& member : spec.members) members_.push_back(std::make_unique<Member>(std::move(member)));
}

// What we had not carried out comes again to our successor; letting go of it would acknowledge it.
QueueDispatcher::~QueueDispatcher() {
  for (auto& member : members_) {
    for (auto& arrival : member->arrivals) arrival.message.release();
  }
}

// What is with a worker stays there: whether that one lives is not known yet. But the queue has lost those
// from `workers` on for good, and what they held with them.
void QueueDispatcher::take_over(std::uint16_t workers) {
  for (const SlotIndex slot : journal_.tasks()) {
    const TaskWord word = journal_.word(slot);
    switch (word.state) {
      case TaskState::pending: pending_.emplace(journal_.task(slot), slot); break;
      case TaskState::dealt:
      case TaskState::started: {
        Member* const member = member_of(word.worker);
        if (member == nullptr) {  // this life has no channel to it; the next may
          if (workers != 0 && word.worker >= workers) return_unblamed(slot);
          break;
        }
        if (!was_sent(slot)) {
          return_unblamed(slot);
          break;
        }
        member->epoch = word.epoch;
        ++member->in_hand;
        if (word.state == TaskState::started) member->started = slot;
        break;
      }
      case TaskState::answered:
        if (Member* const member = member_of(word.worker)) {
          member->awaited.push_back(slot);
        } else if (workers != 0 && word.worker >= workers) {
          return_unblamed(slot);
        }
        break;
      case TaskState::given_up: give_up(slot, true); break;
      case TaskState::letter:
      case TaskState::requeued:  // with the next turn
      case TaskState::dropped:
      case TaskState::free: break;
    }
  }
}

// (J3)
bool QueueDispatcher::was_sent(SlotIndex slot) const {
  const std::uint16_t worker = journal_.word(slot).worker;
  for (const auto& member : members_) {
    if (member->worker != worker) continue;
    return journal_.deal_of(slot) <= member->channel.last_committed();
  }
  return true;
}

QueueDispatcher::Member* QueueDispatcher::member_of(std::uint16_t worker) noexcept {
  for (auto& member : members_) {
    if (member->worker == worker) return member.get();
  }
  return nullptr;
}

Result<TaskId> QueueDispatcher::push(std::span<const std::byte> bytes, Deadline deadline) {
  if (bytes.size() > message_max_) {
    return make_error(Errc::message_too_big, link_ + ": a task of " + std::to_string(bytes.size()) +
                                                 " bytes, max_message is " +
                                                 std::to_string(message_max_));
  }
  for (;;) {
    if (deadline.stopped()) return error(Errc::stopped);
    turn();
    const auto slot = journal_.push(bytes);
    if (slot) {
      const TaskId task = journal_.task(*slot);
      pending_.emplace(task, *slot);
      deal();
      return task;
    }
    if (!slot.error().is(Errc::would_block)) return slot.error();
    if (!ready_.empty()) return error(Errc::would_block, "full; take completions to make room");
    if (deadline.is_now()) return error(Errc::would_block, "full");
    if (deadline.expired()) return error(Errc::timed_out, "full");
    wait(deadline);
  }
}

Result<Completion> QueueDispatcher::next_completion(Deadline deadline) {
  for (;;) {
    if (deadline.stopped()) return error(Errc::stopped);
    turn();
    if (!ready_.empty()) {
      auto outcome = std::move(ready_.front());
      ready_.pop_front();
      return Completion(shared_from_this(), std::move(outcome));
    }
    if (deadline.is_now()) return make_error(Errc::would_block, {});
    if (deadline.expired()) return error(Errc::timed_out, "no task is over");
    wait(deadline);
  }
}

void QueueDispatcher::settled(const QueueOutcome& outcome) noexcept {
  if (outcome.quarantined) {
    journal_.mark(outcome.slot, task_seen);
    if ((journal_.word(outcome.slot).flags & task_told) != 0) {
      journal_.set_aside(outcome.slot);
    } else {
      ++only_unnoted_;
    }
    return;
  }
  has_result_[outcome.slot] = false;
  journal_.finish(outcome.slot);
  outcome.arrival->done = true;
  acknowledge_in_order(*outcome.member);
}

void QueueDispatcher::returned(std::unique_ptr<QueueOutcome> outcome) noexcept {
  outcome->redelivered = true;
  ready_.push_front(std::move(outcome));
}

void QueueDispatcher::turn() {
  for (auto& member : members_) attend(*member);
  hear_desk();
  readmit();
  deal();
}

// A death is looked for before the messages are, so that these are all that the dead one left.
void QueueDispatcher::attend(Member& member) {
  const auto& endpoint = member.channel.endpoint();
  std::uint16_t living = member.channel.epoch();
  const bool over = member.epoch != 0 && endpoint.peer_is_dead(member.epoch);
  if (over && living == member.epoch) living = 0;  // it died in between
  std::vector<SlotIndex> orphans;
  for (const SlotIndex slot : member.awaited) {
    if (endpoint.peer_is_dead(journal_.word(slot).epoch)) orphans.push_back(slot);
  }
  drain(member, over || !orphans.empty());
  if (!orphans.empty()) give_up_waiting(member, orphans);
  if (over) reclaim(member);
  if (member.epoch == 0 && living != 0) {
    member.epoch = living;
    member.welcomed = member.greeted = member.broken = false;
  }
  member.lacks_room = 0;
  if (member.epoch != 0 && member.epoch == living && !member.welcomed) welcome(member);
}

void QueueDispatcher::welcome(Member& member) {
  std::byte bytes[queue_frame_bytes];
  write_frame(bytes, {.kind = QueueFrame::Kind::welcome, .epoch = member.epoch});
  const auto sent = member.channel.try_send(bytes);
  member.welcomed = sent.has_value();
  if (!sent && sent.error().is(Errc::would_block)) member.lacks_room = sizeof bytes;
}

// Lowest numbers first, so that what came back does not wait behind what is new.
void QueueDispatcher::deal() {
  while (!pending_.empty()) {
    Member* const member = least_busy();
    if (member == nullptr) return;
    if (deal_to(*member, pending_.begin()->second)) pending_.erase(pending_.begin());
  }
}

QueueDispatcher::Member* QueueDispatcher::least_busy() noexcept {
  Member* best = nullptr;
  for (auto& member : members_) {
    const bool ready = member->greeted && !member->broken && member->lacks_room == 0 &&
                       member->in_hand < queue_credit;
    if (ready && (best == nullptr || member->in_hand < best->in_hand)) best = member.get();
  }
  return best;
}

bool QueueDispatcher::deal_to(Member& member, SlotIndex slot) {
  const auto message = journal_.message(slot);
  write_frame(message.data(),
              {.kind = QueueFrame::Kind::task,
               .epoch = member.epoch,
               .attempt = static_cast<std::uint16_t>(journal_.word(slot).blamed + 1),
               .task = journal_.task(slot)});
  // Killed between these two, the journal says dealt and the channel that it was not sent: (J3).
  journal_.deal(slot, member.worker, member.epoch, member.channel.last_committed() + 1);
  const auto sent = member.channel.try_send(message);
  if (sent) {
    ++member.in_hand;
    return true;
  }
  journal_.return_unblamed(slot);
  if (sent.error().is(Errc::would_block)) {
    member.lacks_room = message.size();
  } else if (!std::exchange(member.broken, true)) {
    ++violations_;
  }
  return false;
}

void QueueDispatcher::wait(Deadline deadline) {
  std::vector<Awaited> awaited;
  for (auto& member : members_) {
    awaited.push_back({&member->channel.endpoint(), !member->mute, member->lacks_room});
  }
  WaitSet(awaited).wait_once(deadline);
}

Error QueueDispatcher::error(Errc code, const char* what) const {
  return make_error(code, *what == '\0' ? link_ : link_ + ": " + what);
}

QueueStats QueueDispatcher::stats() const {
  QueueStats stats;
  stats.pushed = journal_.pushed();
  stats.outstanding = journal_.count() - only_unnoted_;
  stats.waiting = pending_.size();
  stats.quarantined = journal_.given_up();
  stats.dead_letters = journal_.letters();
  stats.stale = stale_;
  stats.violations = violations_;
  return stats;
}

}  // namespace bulkhead::ipc
