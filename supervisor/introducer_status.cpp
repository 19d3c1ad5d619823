// The part of Introducer that is asked from outside: the figures of `status`, and a link made empty.
#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "ipc/end_page.hpp"
#include "supervisor/config_keys.hpp"
#include "supervisor/introducer.hpp"
#include "supervisor/topic_status.hpp"

namespace bulkhead::supervisor {

nlohmann::json Introducer::status() const {
  auto rows = nlohmann::json::array();
  for (auto at = pairs_.begin(); at != pairs_.end(); ++at) {
    const Pair& pair = *at;
    const LinkConfig& link = config_.links[pair.link];
    if (pair.topic) {  // one row for all of its pairs, which stand together
      const auto end = std::find_if(at, pairs_.end(),
                                    [&](const Pair& other) { return other.link != pair.link; });
      rows.push_back(topic_row(link, plan_, {at, end}));
      at = std::prev(end);
      continue;
    }
    const auto* writer = pair.from.newest();
    const auto* reader = pair.to.newest();
    const std::uint64_t sent = writer != nullptr ? committed_count(*writer) : 0;
    const std::uint64_t acknowledged = reader != nullptr ? acknowledged_count(*reader) : 0;
    const std::uint64_t redelivered =
        reader != nullptr && reader->page ? ipc::load_redelivered(reader->page->page()) : 0;
    rows.push_back(
        {{"name", link.name},
         {"type", config_keys::word(config_keys::link_type, link.type)},
         {"transport", to_string(link.transport)},
         {"from", plan_.instances[pair.from.slot].name},
         {"to", plan_.instances[pair.to.slot].name},
         {"sent", sent},
         {"acknowledged", acknowledged},
         {"redelivered", redelivered},
         {"dropped", 0},
         {"quarantined", journals_.given_up_by(pair.link, plan_.instances[pair.to.slot].index)},
         {"depth", sent > acknowledged ? sent - acknowledged : 0},
         {"from_epoch", pair.from.epoch},
         {"to_epoch", pair.to.epoch},
         {"reconnects", pair.reconnects}});
    if (journals_.is_queue(pair.link))
      rows.back()["outstanding"] = journals_.outstanding(pair.link);
  }
  return rows;
}

// Both ends are down. Their successors begin as if the link were new: its memory is laid out in another way.
void Introducer::make_empty(const std::string& link) {
  for (Pair& pair : pairs_) {
    if (config_.links[pair.link].name != link) continue;
    for (const auto side : {ipc::Side::from, ipc::Side::to}) {
      PairSide& mine = pair.side(side);
      while (!mine.segments.empty()) forget(pair, side, mine.segments.front().epoch);
      PairSide fresh;
      fresh.slot = mine.slot;
      mine = std::move(fresh);
    }
    if (pair.connected_from != 0) (void)keeper_.drop(connection_tag(pair));
    pair.connected_from = pair.connected_to = 0;
    leases_.forget(pair.name);
  }
  for (std::size_t index = 0; index < config_.links.size(); ++index) {
    if (config_.links[index].name == link) journals_.renew(index);
  }
}

// A worker that an earlier brain greeted may hold links of an earlier config, until it is replaced.
bool Introducer::may_be_former(Slot slot) const { return !greeted_.contains(slot); }

}  // namespace bulkhead::supervisor
