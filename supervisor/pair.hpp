// One pair of instances on one link of the config: both sides, their incarnations, and the segments
// that those left behind. Plain bookkeeping of the introducer; sends nothing itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "ipc/endpoint.hpp"
#include "ipc/segment.hpp"
#include "supervisor/config.hpp"
#include "supervisor/core.hpp"

namespace bulkhead::supervisor {

// What one incarnation of a side wrote: kept until nobody can need it any more.
struct SideSegment {
  std::uint16_t epoch = 0;
  base::UniqueFd fd;
  bool dead = false;                     // its writer is dead, by the exit ring's word
  bool closed = false;                   // its writer said that no more will come
  std::optional<ipc::PeerSegment> page;  // read-only; absent when its writer broke the layout
};

struct PairSide {
  Slot slot = 0;
  std::uint16_t epoch = 0;  // the latest incarnation that was told to open; 0 for none yet
  bool open = false;        // that incarnation lives and was told
  bool offered = false;     // ... and has handed over its segment
  std::vector<SideSegment> segments;  // by epoch, oldest first

  SideSegment* find(std::uint16_t wanted) noexcept;
  const SideSegment* newest() const noexcept {
    return segments.empty() ? nullptr : &segments.back();
  }
};

struct Pair {
  std::string name;                  // "jobs/splitter.0/cruncher.1"
  std::size_t link = 0;              // position in SystemConfig::links
  std::optional<TopicPolicy> topic;  // of a topic: the policy of its subscriber, which is `to`
  PairSide from, to;
  std::uint16_t connected_from = 0, connected_to = 0;  // epochs that share a connection
  bool is_cut = false;           // one of them says that it has lost its other end
  std::uint64_t reconnects = 0;  // how often it was made again for that, by this brain

  PairSide& side(ipc::Side which) noexcept { return which == ipc::Side::from ? from : to; }
  const PairSide& side(ipc::Side which) const noexcept {
    return which == ipc::Side::from ? from : to;
  }
};

// All pairs of a config, in its order. Names are unique.
std::vector<Pair> make_pairs(const SystemConfig&, const Plan&);

// Names under which the keeper stores what belongs to a pair.
std::string segment_tag(const Pair&, ipc::Side, std::uint16_t epoch);
std::string connection_tag(const Pair&);

// What the descriptors of a connection are called in the message that carries them to one end.
std::vector<std::string> connection_names(Transport);

// What the pages say: messages of the whole link. Untrusted figures; 0 for a page that is not readable.
std::uint64_t committed_count(const SideSegment&);
std::uint64_t acknowledged_count(const SideSegment&);

// Epochs of dead incarnations of `which` that neither its successor (as predecessor) nor the other
// side (as messages to drain) can need any more.
std::vector<std::uint16_t> droppable(const Pair&, ipc::Side which);
// So many undrained incarnations may lie there: memory must not grow with a crash loop.
inline constexpr std::size_t undrained_epochs_max = 4;
// The other side has not looked for so many lives. A subscriber that chose to lose messages rather loses the
// oldest of them.
bool is_crowded(const Pair&, ipc::Side which);

}  // namespace bulkhead::supervisor
