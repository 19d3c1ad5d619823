#include "supervisor/event_journal.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "supervisor/config.hpp"

namespace bulkhead::supervisor {

std::string_view to_string(EventType type) noexcept {
  switch (type) {
    case EventType::worker_starting: return "worker.starting";
    case EventType::worker_ready: return "worker.ready";
    case EventType::worker_exited: return "worker.exited";
    case EventType::worker_backoff: return "worker.backoff";
    case EventType::worker_stopping: return "worker.stopping";
    case EventType::worker_stopped: return "worker.stopped";
    case EventType::worker_failed: return "worker.failed";
    case EventType::worker_quarantined: return "worker.quarantined";
    case EventType::brain_recovered: return "brain.recovered";
    case EventType::task_quarantined: return "task.quarantined";
    case EventType::task_requeued: return "task.requeued";
    case EventType::task_dropped: return "task.dropped";
    case EventType::config_reloaded: return "config.reloaded";
    case EventType::incident_closed: return "incident.closed";
    case EventType::worker_promoted: return "worker.promoted";
    case EventType::spare_ready: return "spare.ready";
    case EventType::spare_exited: return "spare.exited";
    case EventType::spare_backoff: return "spare.backoff";
  }
  return "?";
}

EventJournal::EventJournal(const SystemConfig& config, const Plan& plan, StateRegion& state)
    : config_(config), plan_(plan), state_(state) {}

EventRecord EventJournal::worker(EventType type, const Announce& what, std::string_view text,
                                 TimeNs now) {
  EventRecord record;
  const bool is_death = type == EventType::worker_exited || type == EventType::spare_exited;
  record.t_ns = is_death && what.cause.at != 0 ? what.cause.at : now;
  record.type = static_cast<std::uint16_t>(type);
  record.slot = state_.seat(what.slot);
  record.generation = what.generation;
  record.pid = what.pid;
  record.cause_kind = static_cast<std::uint8_t>(what.cause.kind);
  record.cause_code = what.cause.code;
  record.until = what.until;
  set_text(record, text);
  record.sequence = state_.append(record);
  return record;
}

EventRecord EventJournal::brain_recovered(std::uint32_t generation, std::int32_t pid,
                                          std::uint64_t took_ns, TimeNs now) {
  EventRecord record;
  record.t_ns = now;
  record.type = static_cast<std::uint16_t>(EventType::brain_recovered);
  record.slot = first_internal_slot;
  record.generation = generation;
  record.pid = pid;
  record.extra[0] = took_ns;
  record.sequence = state_.append(record);
  return record;
}

EventRecord EventJournal::config_reloaded(std::uint64_t serial, std::string_view summary,
                                          TimeNs now) {
  EventRecord record;
  record.t_ns = now;
  record.type = static_cast<std::uint16_t>(EventType::config_reloaded);
  record.slot = first_internal_slot;
  record.extra[0] = serial;
  set_text(record, summary);
  record.sequence = state_.append(record);
  return record;
}

// It is said again only after a death, so what was heard before stands among the latest.
std::optional<EventRecord> EventJournal::task(const TaskNews& news, TimeNs now) {
  constexpr std::uint64_t looked_at_most = 4096;
  const std::uint64_t next = state_.next_event();
  const std::uint64_t first =
      std::max(state_.oldest_event(), next > looked_at_most ? next - looked_at_most : 1);
  const std::array<std::uint64_t, 4> extra{news.task, news.attempts, news.link, news.which};
  for (std::uint64_t at = next; at-- > first;) {
    const auto event = state_.read_event(at);
    const bool same =
        event && static_cast<EventType>(event->type) == news.type && event->extra == extra;
    if (same && news.which != 0) return std::nullopt;
  }
  EventRecord record;
  record.t_ns = now;
  record.type = static_cast<std::uint16_t>(news.type);
  record.slot = state_.seat(news.slot);
  record.generation = news.generation;
  record.extra = extra;
  record.sequence = state_.append(record);
  return record;
}

EventRecord EventJournal::incident_closed(const Closed& closed, TimeNs now) {
  EventRecord record;
  record.t_ns = now;
  record.type = static_cast<std::uint16_t>(EventType::incident_closed);
  record.slot = state_.seat(closed.slot);
  record.generation = closed.generation;
  record.pid = closed.pid;
  record.extra = {closed.number, closed.ready_ns, 0, 0};
  set_text(record, closed.cause);
  record.sequence = state_.append(record);
  return record;
}

EventJournal::Page EventJournal::read(std::uint64_t since, std::size_t at_most) const {
  Page page;
  const std::uint64_t oldest = state_.oldest_event();
  // A number that is not there yet means: from now on.
  std::uint64_t next = std::clamp<std::uint64_t>(since, 1, state_.next_event());
  if (next < oldest) {
    page.gap = oldest - next;
    next = oldest;
  }
  while (next < state_.next_event() && page.events.size() < at_most) {
    if (const auto event = state_.read_event(next)) page.events.push_back(*event);
    ++next;
  }
  page.next = next;
  return page;
}

std::string EventJournal::name_at(Slot seat) const {
  const auto slot = state_.slot_at(seat);
  if (slot && *slot < plan_.instances.size()) return plan_.instances[*slot].name;
  const auto former = by_seat_.find(seat);
  return former == by_seat_.end() ? "?" : former->second;
}

nlohmann::json EventJournal::render(const EventRecord& record) const {
  const auto type = static_cast<EventType>(record.type);
  nlohmann::json event{{"seq", record.sequence},
                       {"t_ns", record.t_ns},
                       {"type", to_string(type)},
                       {"pid", record.pid},
                       {"generation", record.generation}};
  if (type == EventType::brain_recovered) {
    event["name"] = "brain";
    event["took_us"] = record.extra[0] / 1000;
    return event;
  }
  if (type == EventType::config_reloaded) {
    event["name"] = "config";
    event["serial"] = record.extra[0];
    event["text"] = text(record);
    return event;
  }
  event["name"] = name_at(record.slot);
  const bool of_task = type == EventType::task_quarantined || type == EventType::task_requeued ||
                       type == EventType::task_dropped;
  if (of_task) {
    const auto link = record.extra[2];
    event["link"] = link < config_.links.size() ? config_.links[link].name : "?";
    event["task"] = record.extra[0];
    if (type == EventType::task_quarantined) event["attempts"] = record.extra[1];
    if (type == EventType::task_dropped) event["dropped"] = record.extra[3];
    return event;
  }
  if (type == EventType::incident_closed) {
    event["incident"] = record.extra[0];
    event["cause"] = text(record);
    event["ready_us"] = record.extra[1] / 1000;
    return event;
  }
  const ExitCause cause{static_cast<ExitKind>(record.cause_kind), record.cause_code, record.t_ns};
  if (cause.kind != ExitKind::none) event["exit"] = render_exit(cause);
  if (type == EventType::worker_backoff || type == EventType::spare_backoff)
    event["until_ns"] = record.until;
  if (const auto words = text(record); !words.empty()) event["text"] = words;
  return event;
}

}  // namespace bulkhead::supervisor
