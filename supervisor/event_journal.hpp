// The event stream: what happened, numbered, in memory that outlives the brain; and each event as the
// JSON that users see. Used by the brain and its control API.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/core.hpp"
#include "supervisor/exit_json.hpp"
#include "supervisor/state_region.hpp"

namespace bulkhead::supervisor {

struct SystemConfig;

enum class EventType : std::uint16_t {
  worker_starting = 1,
  worker_ready,
  worker_exited,
  worker_backoff,
  worker_stopping,
  worker_stopped,
  worker_failed,
  worker_quarantined,
  brain_recovered,
  task_quarantined,
  task_requeued,
  task_dropped,
  incident_closed,
  config_reloaded = 40,
  worker_promoted,
  spare_ready,
  spare_exited,
  spare_backoff,
};
std::string_view to_string(EventType) noexcept;  // "worker.starting"

// Threads: the brain's loop. After a crash: what was appended stays; see StateRegion::append.
class EventJournal {
 public:
  EventJournal(const SystemConfig&, const Plan&, StateRegion&);

  // Fills in time and number, stores it, and returns it as it is told.
  EventRecord worker(EventType, const Announce&, std::string_view text, TimeNs now);
  EventRecord brain_recovered(std::uint32_t generation, std::int32_t pid, std::uint64_t took_ns,
                              TimeNs now);

  EventRecord config_reloaded(std::uint64_t serial, std::string_view summary, TimeNs now);
  // Names of instances that were, by their place in the state memory.
  void remember(std::map<Slot, std::string> by_seat) { by_seat_ = std::move(by_seat); }

  // What befell a task of a queue. Nothing when that was told before: who says it again does not know
  // whether it was heard.
  struct TaskNews {
    EventType type;
    Slot
        slot;  // quarantined: the instance that it failed with last; else the one that fills the queue
    Generation generation;
    std::uint64_t link, task, attempts;  // link: its position in the config
    // Tells news of a task from the next like it: when it was given up; who requeued it; how many
    // letters were dropped so far.
    std::uint64_t which;
  };
  std::optional<EventRecord> task(const TaskNews&, TimeNs now);

  // A death was followed by a successor that is ready.
  struct Closed {
    Slot slot;
    Generation generation;  // of the successor
    std::int32_t pid;
    std::uint64_t number, ready_ns;  // of the incident; from its beginning
    std::string cause;
  };
  EventRecord incident_closed(const Closed&, TimeNs now);

  struct Page {
    std::vector<EventRecord> events;
    std::uint64_t next = 1;  // ask for this one next
    std::uint64_t gap = 0;   // so many from `since` on are overwritten
  };
  Page read(std::uint64_t since, std::size_t at_most) const;

  nlohmann::json render(const EventRecord&) const;

 private:
  std::string name_at(Slot seat) const;

  const SystemConfig& config_;
  const Plan& plan_;
  StateRegion& state_;
  std::map<Slot, std::string> by_seat_;
};

}  // namespace bulkhead::supervisor
