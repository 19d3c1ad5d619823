#include "supervisor/dead_letters.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/nearest.hpp"
#include "supervisor/config.hpp"
#include "supervisor/config_keys.hpp"

namespace bulkhead::supervisor {
namespace {

using Requeue = ipc::QueueLetters::Requeue;
using nlohmann::json;

constexpr std::size_t named_at_most = 10;  // letters, in a message

std::string hex(const std::vector<std::byte>& bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += digits[std::to_integer<unsigned>(byte) >> 4];
    text += digits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

}  // namespace

DeadLetters::DeadLetters(const SystemConfig& config, const Plan& plan, QueueJournals& journals,
                         EventJournal& events, Callbacks callbacks)
    : config_(config),
      plan_(plan),
      journals_(journals),
      events_(events),
      callbacks_(std::move(callbacks)) {}

Result<std::size_t> DeadLetters::queue_named(const std::string& name) const {
  std::vector<std::string_view> queues;
  std::string known;
  for (std::size_t link = 0; link < config_.links.size(); ++link) {
    const LinkConfig& config = config_.links[link];
    if (config.type == LinkType::queue) {
      if (config.name == name) return link;
      queues.push_back(config.name);
      known += (known.empty() ? "" : ", ") + config.name;
    }
  }
  const std::string there_are = known.empty() ? "the config has no queue" : "queues: " + known;
  for (const LinkConfig& config : config_.links) {
    if (config.name != name) continue;
    return make_error(Errc::invalid_argument,
                      "link \"" + name + "\" is a " +
                          std::string(config_keys::word(config_keys::link_type, config.type)) +
                          ", no queue (" + there_are + ")");
  }
  const auto near = base::nearest(name, queues);
  return make_error(Errc::not_found, "no queue \"" + name + "\" (" +
                                         (near ? "did you mean " + *near + "? " : "") + there_are +
                                         ")");
}

Result<ipc::QueueLetters*> DeadLetters::letters_of(std::size_t link) const {
  ipc::QueueLetters* const letters = journals_.letters(link);
  if (letters != nullptr) return letters;
  const auto complaint = journals_.complaint(link);
  return make_error(Errc::not_found, "queue \"" + config_.links[link].name + "\" has no journal" +
                                         (complaint.empty() ? std::string() : ": " + complaint));
}

std::optional<Slot> DeadLetters::slot_of(const std::string& worker, std::uint32_t index) const {
  for (Slot slot = 0; slot < plan_.instances.size(); ++slot) {
    const auto& instance = plan_.instances[slot];
    if (instance.worker == worker && instance.index == index) return slot;
  }
  return std::nullopt;
}

// A dispatcher may have written any number.
std::string DeadLetters::instance_of(const std::string& worker, std::uint32_t index) const {
  const auto slot = slot_of(worker, index);
  return slot ? plan_.instances[*slot].name : worker + ".?";
}

Result<json> DeadLetters::report(const std::string& name) const {
  auto rows = json::array();
  if (!name.empty()) {
    const auto link = queue_named(name);
    if (!link) return link.error();
    rows.push_back(row(*link));
    return json{{"queues", std::move(rows)}};
  }
  for (std::size_t link = 0; link < config_.links.size(); ++link) {
    if (journals_.is_queue(link)) rows.push_back(row(link));
  }
  return json{{"queues", std::move(rows)}};
}

json DeadLetters::row(std::size_t link) const {
  const LinkConfig& config = config_.links[link];
  json row{{"name", config.name},
           {"from", instance_of(config.from, 0)},
           {"to", config.to.front()},
           {"outstanding", journals_.outstanding(link)},
           {"dropped", 0},
           {"dead_letters", json::array()}};
  const auto letters = letters_of(link);
  if (!letters) {
    row["error"] = letters.error().context;
    return row;
  }
  row["dropped"] = (*letters)->dropped().count;
  for (const auto& letter : (*letters)->list()) {
    row["dead_letters"].push_back(letter_row(link, letter));
  }
  return row;
}

json DeadLetters::letter_row(std::size_t link, const ipc::DeadLetter& letter) const {
  const TimeNs now = base::monotonic_ns();
  const double age = letter.since_ns < now ? static_cast<double>(now - letter.since_ns) / 1e9 : 0;
  return {{"task", letter.task},
          {"attempts", letter.attempts},
          {"bytes", letter.bytes},
          {"worker", instance_of(config_.links[link].to.front(), letter.worker)},
          {"t_ns", letter.since_ns},
          {"age_s", age},
          {"requeueable", letter.taken},
          {"head", hex(letter.head)}};
}

std::string DeadLetters::known_letters(const ipc::QueueLetters& letters) const {
  std::vector<TaskId> tasks;
  for (const auto& letter : letters.list()) tasks.push_back(letter.task);
  std::sort(tasks.begin(), tasks.end());
  std::string known;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (i == named_at_most) return "it has " + known + " and more";
    known += (known.empty() ? "" : ", ") + std::to_string(tasks[i]);
  }
  return known.empty() ? "it has none" : "it has " + known;
}

Result<json> DeadLetters::requeue(const std::string& name, std::optional<std::uint64_t> task,
                                  std::uint64_t operation) {
  const auto link = queue_named(name);
  if (!link) return link.error();
  const auto found = letters_of(*link);
  if (!found) return found.error();
  ipc::QueueLetters& letters = **found;
  std::vector<TaskId> wanted;
  if (task) {
    wanted.push_back(*task);
  } else {
    wanted = letters.asked_for(operation);
    for (const auto& letter : letters.list()) wanted.push_back(letter.task);
  }
  auto requeued = json::array(), not_yet = json::array();
  for (const TaskId id : wanted) {
    const auto how = letters.requeue(id, operation);
    if (how == Requeue::not_taken) not_yet.push_back(id);
    if (how != Requeue::done && how != Requeue::repeated) continue;
    if (std::find(requeued.begin(), requeued.end(), id) != requeued.end()) continue;
    requeued.push_back(id);
    tell(EventType::task_requeued, *link, id, operation);
  }
  if (!requeued.empty()) {
    letters.ring();
    if (const auto slot = slot_of(config_.links[*link].from, 0)) callbacks_.wake(*slot, name);
  }
  if (task && requeued.empty() && not_yet.empty()) {
    return make_error(Errc::not_found, "task " + std::to_string(*task) + " is no dead letter of " +
                                           name + " (" + known_letters(letters) + ")");
  }
  if (task && requeued.empty()) {
    return make_error(Errc::would_block,
                      "task " + std::to_string(*task) + " of " + name +
                          " cannot be requeued yet: " + instance_of(config_.links[*link].from, 0) +
                          " has not let go of the completion that says that it is given up");
  }
  return json{{"queue", name}, {"requeued", std::move(requeued)}, {"not_yet", std::move(not_yet)}};
}

void DeadLetters::look() {
  for (std::size_t link = 0; link < config_.links.size(); ++link) {
    const auto* const letters = journals_.letters(link);
    if (letters == nullptr) continue;
    const auto dropped = letters->dropped();
    if (std::exchange(told_dropped_[link], dropped.count) == dropped.count) continue;
    tell(EventType::task_dropped, link, dropped.last, dropped.count);
  }
}

void DeadLetters::tell(EventType type, std::size_t link, std::uint64_t task, std::uint64_t which) {
  const Slot slot = slot_of(config_.links[link].from, 0).value_or(0);
  const auto event = events_.task({type, slot, callbacks_.generation(slot), link, task, 0, which},
                                  base::monotonic_ns());
  if (event) callbacks_.happened(*event);
}

}  // namespace bulkhead::supervisor
