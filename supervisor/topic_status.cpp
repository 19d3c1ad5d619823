#include "supervisor/topic_status.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ipc/end_page.hpp"

namespace bulkhead::supervisor {
namespace {

std::uint64_t less(std::uint64_t from, std::uint64_t what) { return from > what ? from - what : 0; }

// Of one subscriber. Every message that was published is acknowledged, dropped, or waits: depth.
struct Figures {
  std::uint64_t sent = 0, acknowledged = 0, redelivered = 0, dropped = 0, depth = 0;
};

// What is lost to a subscriber that has not been told yet, because it has not looked.
std::uint64_t untold(const TopicPolicy& policy, const ipc::EndPage& writer, std::uint64_t sent,
                     std::uint64_t settled, std::uint64_t told) {
  switch (policy.overflow) {
    case Overflow::block: return 0;
    case Overflow::drop_newest: return less(ipc::load_dropped(writer), told);
    case Overflow::drop_oldest:
      // relaxed: a figure for reports
      return less(writer.reclaimed_count.load(std::memory_order_relaxed), settled);
    case Overflow::conflate: return less(sent, settled + 1);
  }
  return 0;
}

Figures figures_of(const Pair& pair) {
  Figures figures;
  const SideSegment* const writer = pair.from.newest();
  const SideSegment* const reader = pair.to.newest();
  std::uint64_t settled = 0,
                told = 0;  // the number of the last message let go, and drops before it
  if (reader != nullptr && reader->page) {
    settled = acknowledged_count(*reader);
    told = std::min(ipc::load_dropped(reader->page->page()), settled);
    figures.redelivered = ipc::load_redelivered(reader->page->page());
  }
  // The count follows the commit, which a subscriber may have acknowledged already.
  if (writer != nullptr) figures.sent = std::max(committed_count(*writer), settled);
  const std::uint64_t waiting = less(figures.sent, settled);
  std::uint64_t lost = 0;
  if (writer != nullptr && writer->page) {
    lost =
        std::min(untold(*pair.topic, writer->page->page(), figures.sent, settled, told), waiting);
  }
  figures.acknowledged = settled - told;
  figures.dropped = told + lost;
  figures.depth = waiting - lost;
  return figures;
}

void put(nlohmann::json& row, const Figures& figures) {
  row["sent"] = figures.sent;
  row["acknowledged"] = figures.acknowledged;
  row["redelivered"] = figures.redelivered;
  row["dropped"] = figures.dropped;
  row["depth"] = figures.depth;
}

}  // namespace

nlohmann::json topic_row(const LinkConfig& link, const Plan& plan, std::span<const Pair> pairs) {
  auto to = nlohmann::json::array(), subscribers = nlohmann::json::array();
  Figures sum;
  std::uint64_t published = 0;
  for (const Pair& pair : pairs) {
    const Figures figures = figures_of(pair);
    const std::string& name = plan.instances[pair.to.slot].name;
    to.push_back(name);
    nlohmann::json row{{"name", name},
                       {"overflow", to_string(pair.topic->overflow)},
                       {"from_epoch", pair.from.epoch},
                       {"to_epoch", pair.to.epoch}};
    put(row, figures);
    subscribers.push_back(std::move(row));
    published = std::max(published, figures.sent);
    sum.sent += figures.sent;
    sum.acknowledged += figures.acknowledged;
    sum.redelivered += figures.redelivered;
    sum.dropped += figures.dropped;
    sum.depth += figures.depth;
  }
  nlohmann::json row{{"name", link.name},
                     {"type", "topic"},
                     {"transport", to_string(link.transport)},
                     {"from", plan.instances[pairs.front().from.slot].name},
                     {"to", std::move(to)},
                     {"published", published},
                     {"quarantined", 0},
                     {"from_epoch", pairs.front().from.epoch},
                     {"subscribers", std::move(subscribers)}};
  put(row, sum);
  return row;
}

}  // namespace bulkhead::supervisor
