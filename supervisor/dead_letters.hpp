// What an operator sees of queues, and what he may do about their dead letters; tells what befalls letters as
// events. Used by the control API and by the brain's pulse; knows no socket.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "supervisor/event_journal.hpp"
#include "supervisor/queue_journals.hpp"

namespace bulkhead::supervisor {

// Threads: the brain's loop. After a crash of the brain: what was requeued stays so; a client that was not
// answered asks again with the same operation.
class DeadLetters {
 public:
  struct Callbacks {
    std::function<void(Slot, std::string_view queue)> wake;  // the worker that fills the queue
    std::function<Generation(Slot)> generation;
    std::function<void(const EventRecord&)> happened;
  };

  DeadLetters(const SystemConfig&, const Plan&, QueueJournals&, EventJournal&, Callbacks);

  // `name` is "" for all queues. Errors: not_found, naming the nearest and those there are;
  // invalid_argument for a link that is no queue.
  Result<nlohmann::json> report(const std::string& name) const;

  // One task, or all letters that can be requeued now. `operation` is 0, or names the request: made
  // again it does nothing twice. Errors: as report(), and not_found for a task that is no letter.
  Result<nlohmann::json> requeue(const std::string& name, std::optional<std::uint64_t> task,
                                 std::uint64_t operation);

  // Tells of letters that went for want of room since the last look.
  void look();

 private:
  Result<std::size_t> queue_named(const std::string& name) const;
  Result<ipc::QueueLetters*> letters_of(std::size_t link) const;
  std::optional<Slot> slot_of(const std::string& worker, std::uint32_t index) const;
  std::string instance_of(const std::string& worker, std::uint32_t index) const;
  nlohmann::json row(std::size_t link) const;
  nlohmann::json letter_row(std::size_t link, const ipc::DeadLetter&) const;
  void tell(EventType, std::size_t link, std::uint64_t task, std::uint64_t which);
  std::string known_letters(const ipc::QueueLetters&) const;

  const SystemConfig& config_;
  const Plan& plan_;
  QueueJournals& journals_;
  EventJournal& events_;
  Callbacks callbacks_;
  std::map<std::size_t, std::uint64_t> told_dropped_;  // by link
};

}  // namespace bulkhead::supervisor
