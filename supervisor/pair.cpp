#include "supervisor/pair.hpp"

#include <algorithm>

#include "ipc/end_page.hpp"
#include "ipc/lane_consumer.hpp"
#include "ipc/topic_consumer.hpp"

namespace bulkhead::supervisor {

SideSegment* PairSide::find(std::uint16_t wanted) noexcept {
  const auto found = std::find_if(segments.begin(), segments.end(),
                                  [&](const SideSegment& s) { return s.epoch == wanted; });
  return found == segments.end() ? nullptr : &*found;
}

namespace {

std::vector<Slot> slots_of(const Plan& plan, const std::string& worker) {
  std::vector<Slot> slots;
  for (Slot slot = 0; slot < plan.instances.size(); ++slot) {
    const InstancePlan& instance = plan.instances[slot];
    if (instance.worker == worker && !plan.workers[instance.worker_index].leaving) {
      slots.push_back(slot);
    }
  }
  return slots;
}

}  // namespace

std::vector<Pair> make_pairs(const SystemConfig& config, const Plan& plan) {
  std::vector<Pair> pairs;
  for (std::size_t index = 0; index < config.links.size(); ++index) {
    const LinkConfig& link = config.links[index];
    for (const Slot from : slots_of(plan, link.from)) {
      for (std::size_t receiver = 0; receiver < link.to.size(); ++receiver) {
        for (const Slot to : slots_of(plan, link.to[receiver])) {
          Pair pair;
          pair.name = link.name + "/" + plan.instances[from].name + "/" + plan.instances[to].name;
          pair.link = index;
          if (link.type == LinkType::topic) pair.topic = link.policies[receiver];
          pair.from.slot = from;
          pair.to.slot = to;
          pairs.push_back(std::move(pair));
        }
      }
    }
  }
  return pairs;
}

std::string segment_tag(const Pair& pair, ipc::Side side, std::uint16_t epoch) {
  return "segment/" + std::string(side == ipc::Side::from ? "from/" : "to/") +
         std::to_string(epoch) + "/" + pair.name;
}

std::string connection_tag(const Pair& pair) {
  return "connection/" + std::to_string(pair.connected_from) + "/" +
         std::to_string(pair.connected_to) + "/" + pair.name;
}

std::vector<std::string> connection_names(Transport transport) {
  switch (transport) {
    case Transport::shm: return {"message", "space"};
    case Transport::pipe: return {"read", "write", "space"};
    case Transport::unix_socket:
    case Transport::tcp: break;
  }
  return {"socket", "space"};
}

std::uint64_t committed_count(const SideSegment& segment) {
  const auto committed = segment.page ? ipc::load_committed(segment.page->page()) : std::nullopt;
  return committed ? committed->count : 0;
}

std::uint64_t acknowledged_count(const SideSegment& segment) {
  const auto acked = segment.page ? ipc::load_acknowledged(segment.page->page()) : std::nullopt;
  return acked ? acked->count : 0;
}

namespace {

constexpr int uncounted_max = 16;  // a batch at the most; the page is not ours to believe

// Exact for a dead writer, who may have been killed between a commit and the count of it: looks for
// records after the one that was counted last.
std::uint64_t committed_for_certain(const Pair& pair, const SideSegment& segment) {
  const ipc::PeerSegment& page = *segment.page;
  const auto committed = ipc::load_committed(page.page());
  if (!committed) return page.facts().base_index;
  if (page.ring().empty()) return committed->count;
  if (pair.topic) return ipc::last_given(page.page(), page.ring(), *committed);
  ipc::LaneConsumer lane(page.ring(), committed->position, committed->count, page.slabs());
  ipc::LaneConsumer::Record record;
  for (int i = 0; i < uncounted_max && lane.poll(record) == ipc::LaneConsumer::Found::record;) ++i;
  return lane.last_index();
}

}  // namespace

// A dead incarnation's segment serves two: its successor reads where it stopped (until that has
// handed over its own), and the other side drains what it committed. The other side's newest
// segment says how far it is: everything up to its acknowledged count has been let go for good.
std::vector<std::uint16_t> droppable(const Pair& pair, ipc::Side which) {
  const PairSide& mine = pair.side(which);
  const SideSegment* reader = pair.side(ipc::other(which)).newest();
  std::vector<std::uint16_t> epochs;
  for (const SideSegment& segment : mine.segments) {
    if (&segment == mine.newest()) break;  // the living one, or the predecessor of the next
    if (!segment.dead) continue;
    if (!segment.page) {  // its writer broke the layout: nobody can read it
      epochs.push_back(segment.epoch);
      continue;
    }
    const std::uint64_t committed = committed_for_certain(pair, segment);
    const bool empty = committed <= segment.page->facts().base_index;
    const bool drained = reader != nullptr && acknowledged_count(*reader) >= committed;
    if (empty || drained) epochs.push_back(segment.epoch);
  }
  return epochs;
}

bool is_crowded(const Pair& pair, ipc::Side which) {
  if (pair.topic && pair.topic->overflow != Overflow::block) return false;
  return pair.side(which).segments.size() - droppable(pair, which).size() > undrained_epochs_max;
}

}  // namespace bulkhead::supervisor
