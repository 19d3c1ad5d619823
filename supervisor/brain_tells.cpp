// What the brain says of workers: to the event stream, and on its own stderr; and what it hears from the logger.
#include <string>

#include "base/clock.hpp"
#include "base/urgency.hpp"
#include "supervisor/brain.hpp"
#include "supervisor/operator_line.hpp"

namespace bulkhead::supervisor {

// A line a second of each worker at the most: what a worker does wrong must not fill the disk.
void Brain::violated(Slot slot, const Error& error) {
  Violations& violations = violations_[slot];
  const TimeNs now = base::monotonic_ns();
  if (now < violations.quiet_until) {
    ++violations.unsaid;
    return;
  }
  const std::string more =
      violations.unsaid == 0 ? "" : " (and " + std::to_string(violations.unsaid) + " more before)";
  tell_operator(plan_.instances[slot].name + ": " + error.to_string() + more);
  violations = {now + 1'000'000'000, 0};
}

void Brain::quarantined(const Introducer::Quarantined& in, const ipc::TaskQuarantined& task) {
  const auto event =
      journal_.task({EventType::task_quarantined, in.worker, processes_.generation(in.worker),
                     in.link, task.task, task.attempts, task.since_ns},
                    base::monotonic_ns());
  if (event) api_.happened(*event);
}

void Brain::announce(const Announce& what) {
  static constexpr EventType types[] = {
      EventType::worker_starting, EventType::worker_ready,       EventType::worker_exited,
      EventType::worker_backoff,  EventType::worker_stopping,    EventType::worker_stopped,
      EventType::worker_failed,   EventType::worker_quarantined, EventType::worker_promoted};
  // One that was urgent and is no worker of the runtime has not taken its leave of that itself. 0 would be us.
  const auto pid = processes_.pid(what.slot);
  if (what.type == Announce::Type::ready && pid > 0) base::make_ordinary(pid);
  if (plan_.instances[what.slot].is_spare) return announce_spare(what);
  const auto type = types[static_cast<std::size_t>(what.type)];
  const TimeNs now = base::monotonic_ns();
  if (what.type == Announce::Type::ready) plain_.became_ready(what.slot);
  if (what.type == Announce::Type::stopped) plain_.stopped(what.slot);
  std::string text;
  const InstanceState& instance = supervision_.instance(what.slot);
  const bool with_group =
      type == EventType::worker_stopping && instance.with_group != WithGroup::nothing;
  if (type == EventType::worker_failed) text = reason(plan_, supervision_.state(), what.slot, now);
  if (type == EventType::worker_promoted) {
    text = "was " + spare_name(plan_.instances[what.slot].worker, instance.was_spare_index);
  }
  if (with_group) text = "with group " + plan_.groups[instance.held_by].name;
  api_.happened(journal_.worker(type, what, text, now));
  incidents_.announced(what, now);
}

// What an instance without a log is asked for comes back as an error, and is as good as nothing.
void Brain::logger_said(const ipc::Packet& packet) {
  const auto message = ipc::read_message(packet.body);
  if (!message || !message->is_answer()) return;
  if (message->id == log_flush_id) {
    flushed_ = true;
    return leave_when_done();
  }
  std::string text;
  if (message->kind == ipc::ControlMessage::Kind::result) {
    ipc::FieldReader("log.tail", *message->content).optional("text", text);
  }
  incidents_.log_arrived(message->id - log_flush_id, text);
}

}  // namespace bulkhead::supervisor
