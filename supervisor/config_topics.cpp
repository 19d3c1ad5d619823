// A topic's ends: one publisher, and subscribers with a policy each.
#include <algorithm>

#include "supervisor/config_draft.hpp"
#include "supervisor/config_keys.hpp"

namespace bulkhead::supervisor {
namespace {

using json_source::in_quotes;
using Type = json_source::Value::Type;

// The keys that a link and each of its subscribers may have.
void read_policy(const ObjectAt& section, TopicPolicy& policy) {
  const auto overflow_at = section.find("overflow");
  if (overflow_at) keep(policy.overflow, read_enum(*overflow_at, config_keys::overflow));
  const auto history_at = section.find("history");
  if (history_at) {
    const auto history = read_integer(*history_at, 0, history_max);
    if (history) policy.history = static_cast<std::uint32_t>(*history);
  }
  if (policy.overflow != Overflow::conflate || policy.history <= 1) return;
  (history_at ? *history_at : *overflow_at)
      .wrong("a history of " + std::to_string(policy.history) +
             " with \"conflate\", of which only the newest message counts (expected 0 or 1)");
}

void read_subscriber(Draft& draft, const At& at, const TopicPolicy& of_link, LinkConfig& link) {
  TopicPolicy policy = of_link;
  std::optional<At> name_at = at;
  if (at.value->type == Type::object) {
    const ObjectAt section(at, config_keys::subscriber);
    name_at = section.find("worker");
    if (!name_at) return section.missing("worker", "expected the name of a worker");
    read_policy(section, policy);
  }
  const auto end = read_link_end(draft, *name_at);
  if (!end || end->worker == nullptr) return;
  const std::string& name = end->worker->name;
  if (name == link.from) {
    return name_at->wrong("the topic leads from " + in_quotes(name) +
                          " to itself (expected other workers)");
  }
  if (std::find(link.to.begin(), link.to.end(), name) != link.to.end()) {
    return name_at->wrong("worker " + in_quotes(name) +
                          " subscribes twice (name it once; each of its instances subscribes)");
  }
  link.to.push_back(name);
  link.policies.push_back(policy);
}

}  // namespace

void read_topic_ends(Draft& draft, const ObjectAt& section, LinkConfig& link) {
  const WorkerConfig* const from = draft.find_worker(link.from);
  if (from != nullptr && from->instances > 1) {
    section.find("from")->wrong("a topic from " + std::to_string(from->instances) +
                                " instances (expected one publisher: set \"instances\" of " +
                                in_quotes(link.from) + " to 1, or have a topic for each)");
  }
  TopicPolicy policy;
  read_policy(section, policy);
  const auto to = section.find("to");
  if (!to) return section.missing("to", "expected workers: [\"sink\"]");
  if (to->value->type == Type::string) return read_subscriber(draft, *to, policy, link);
  const auto subscribers = elements(*to, "the names of the subscribers, [\"sink\"]");
  if (to->value->type == Type::array && subscribers.empty()) {
    to->wrong("a topic without subscribers (expected one at least)");
  }
  for (const At& at : subscribers) read_subscriber(draft, at, policy, link);
}

}  // namespace bulkhead::supervisor
