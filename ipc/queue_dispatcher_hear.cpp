// What the dispatcher of a queue does with what workers say, and with their deaths.
#include <utility>

#include "base/clock.hpp"
#include "ipc/endpoint.hpp"
#include "ipc/queue_dispatcher.hpp"

namespace bulkhead::ipc {
namespace {

// So that a worker that never stops talking does not keep the others from being heard.
constexpr int messages_a_turn = 256;

}  // namespace

void QueueDispatcher::drain(Member& member, bool to_the_end) {
  for (int taken = 0; to_the_end || taken < messages_a_turn; ++taken) {
    auto message = member.channel.try_receive();
    member.mute = !message;
    if (!message) {
      // Whatever else it is, the supervisor decides what becomes of that worker; we stay clear of it.
      if (!std::exchange(member.broken, true)) ++violations_;
      return;
    }
    if (!message->has_value()) return;
    take(member, std::move(**message));
  }
}

void QueueDispatcher::take(Member& member, Message message) {
  const auto frame = read_frame(message.bytes());
  const bool from_worker = frame && frame->kind >= QueueFrame::Kind::hello;
  Arrival& arrival = member.arrivals.emplace_back(Arrival{std::move(message)});
  if (!from_worker) {
    arrival.done = violate(member);
  } else {
    arrival.done = carry_out(member, *frame, arrival);
  }
  acknowledge_in_order(member);
}

// False: the message is still needed.
bool QueueDispatcher::carry_out(Member& member, const QueueFrame& frame, Arrival& arrival) {
  using Kind = QueueFrame::Kind;
  const std::uint16_t epoch = arrival.message.epoch();
  if (frame.epoch != epoch) return violate(member);
  if (frame.kind == Kind::hello) {
    if (epoch == member.epoch) member.greeted = true;
    return true;
  }
  const auto slot = journal_.find(frame.task);
  const TaskWord word = slot ? journal_.word(*slot) : TaskWord{};
  const bool is_its_own = (word.state == TaskState::dealt || word.state == TaskState::started ||
                           word.state == TaskState::answered) &&
                          word.worker == member.worker && word.epoch == epoch &&
                          journal_.deal_of(*slot) == frame.deal;
  if (!is_its_own || has_result_[*slot]) {
    ++stale_;
    return true;
  }
  if (frame.kind == Kind::started) {
    if (word.state != TaskState::dealt) return true;  // a predecessor of ours had heard it
    if (member.started) return violate(member);       // (J4): one at a time
    journal_.start(*slot);
    member.started = *slot;
    return true;
  }
  if (frame.kind == Kind::completed) {
    if (word.state == TaskState::dealt) return violate(member);  // never begun
    result_came(member, *slot, arrival);
    return false;
  }
  if (word.state != TaskState::started) return violate(member);
  leaves_hand(member, *slot);
  if (frame.kind == Kind::failed) {
    blame(*slot);
  } else {
    return_unblamed(*slot);
  }
  return true;
}

void QueueDispatcher::result_came(Member& member, SlotIndex slot, Arrival& arrival) {
  if (journal_.word(slot).state == TaskState::started) {
    leaves_hand(member, slot);
    journal_.answer(slot);
  }
  std::erase(member.awaited, slot);
  has_result_[slot] = true;
  auto outcome = std::make_unique<QueueOutcome>();
  outcome->slot = slot;
  outcome->task = journal_.task(slot);
  outcome->attempts = journal_.word(slot).blamed + 1U;
  outcome->worker_name = member.channel.peer();
  outcome->redelivered = arrival.message.redelivered();
  outcome->bytes = arrival.message.bytes().subspan(queue_frame_bytes);
  outcome->member = &member;
  outcome->arrival = &arrival;
  ready_.push_back(std::move(outcome));
}

// That worker has nothing more to hope for; what it holds comes back with its death. True, for whoever
// has no more need of the message.
bool QueueDispatcher::violate(Member& member) noexcept {
  ++violations_;
  member.broken = true;
  return true;
}

// Their worker wrote over what it had answered, and died: they are as good as never begun.
void QueueDispatcher::give_up_waiting(Member& member, const std::vector<SlotIndex>& lost) {
  for (const SlotIndex slot : lost) {
    if (std::erase(member.awaited, slot) != 0) return_unblamed(slot);
  }
}

void QueueDispatcher::leaves_hand(Member& member, SlotIndex slot) noexcept {
  if (member.in_hand != 0) --member.in_hand;
  if (member.started == slot) member.started.reset();
}

// Its incarnation is dead, and all that it said is carried out: what is still with it has no result.
void QueueDispatcher::reclaim(Member& member) {
  for (const SlotIndex slot : journal_.tasks()) {
    const TaskWord word = journal_.word(slot);
    const bool in_hand = word.state == TaskState::dealt || word.state == TaskState::started;
    if (!in_hand || word.worker != member.worker) continue;
    if (word.state == TaskState::started) {
      blame(slot);
    } else {
      return_unblamed(slot);
    }
  }
  member.epoch = 0;
  member.in_hand = 0;
  member.started.reset();
  member.welcomed = member.greeted = member.broken = false;
}

void QueueDispatcher::return_unblamed(SlotIndex slot) {
  journal_.return_unblamed(slot);
  pending_.emplace(journal_.task(slot), slot);
}

void QueueDispatcher::blame(SlotIndex slot) {
  if (journal_.return_blamed(slot, base::monotonic_ns())) {
    pending_.emplace(journal_.task(slot), slot);
  } else {
    give_up(slot, false);
  }
}

void QueueDispatcher::give_up(SlotIndex slot, bool redelivered) {
  const TaskWord word = journal_.word(slot);
  const bool told = (word.flags & task_told) != 0, seen = (word.flags & task_seen) != 0;
  if (told && seen) return journal_.set_aside(slot);
  Member* const member = member_of(word.worker);
  if (!told) {
    const auto report = desk_->report({member != nullptr ? member->pair : "", journal_.task(slot),
                                       word.blamed, journal_.since(slot)});
    reports_.emplace(report, journal_.task(slot));
  }
  if (seen) {
    ++only_unnoted_;
    return;
  }
  auto outcome = std::make_unique<QueueOutcome>();
  outcome->slot = slot;
  outcome->task = journal_.task(slot);
  outcome->attempts = word.blamed;
  outcome->quarantined = true;
  outcome->redelivered = redelivered;
  if (member != nullptr) outcome->worker_name = member->channel.peer();
  ready_.push_back(std::move(outcome));
}

// A task that is given up is kept until the supervisor knows of it, whoever dies meanwhile.
void QueueDispatcher::hear_desk() {
  for (auto report = reports_.begin(); report != reports_.end();) {
    if (!desk_->is_noted(report->first)) {
      ++report;
      continue;
    }
    if (const auto slot = journal_.find(report->second)) {
      journal_.mark(*slot, task_told);
      if ((journal_.word(*slot).flags & task_seen) != 0) {
        journal_.set_aside(*slot);
        --only_unnoted_;
      }
    }
    report = reports_.erase(report);
  }
}

// By an operator, through the supervisor.
void QueueDispatcher::readmit() {
  for (const SlotIndex slot : journal_.readmit()) pending_.emplace(journal_.task(slot), slot);
}

void QueueDispatcher::acknowledge_in_order(Member& member) noexcept {
  while (!member.arrivals.empty() && member.arrivals.front().done) {
    member.arrivals.front().message.acknowledge();
    member.arrivals.pop_front();
  }
}

}  // namespace bulkhead::ipc
