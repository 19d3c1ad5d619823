// Introduces the two ends of every link to each other and steps out of the data path: hands each
// incarnation its links, stores segments in the keeper, forwards them, makes connections, and tells
// the survivors of a death. Used by the brain; knows control messages, not how they travel.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "ipc/control_protocol.hpp"
#include "ipc/fault_protocol.hpp"
#include "ipc/queue_protocol.hpp"
#include "supervisor/keeper_client.hpp"
#include "supervisor/lease_watch.hpp"
#include "supervisor/pair.hpp"
#include "supervisor/queue_journals.hpp"

namespace bulkhead::supervisor {

// How the introducer reaches workers. `send` drops what is for an instance that has no port.
struct WorkerPost {
  std::function<void(Slot, std::string_view method, ipc::Json params, std::span<const int> fds)>
      send;
  std::function<Generation(Slot)> generation;
  std::function<bool(Slot)> alive;  // has a process, by the exit ring's word
};

// Threads: the brain's loop. Everything is idempotent by (pair, side, epoch): store first, forward
// second. After a crash of the brain: restore() finds all segments in the keeper's store.
class Introducer {
 public:
  Introducer(const SystemConfig&, const Plan&, KeeperClient&, WorkerPost);

  // What the keeper holds from a predecessor of this brain.
  void restore();

  // A new incarnation said hello: how many links it is going to get, and then these links.
  std::uint32_t count_links(Slot) const;
  void open_links(Slot);

  // Errors are the worker's violations.
  Result<void> offered(Slot, const ipc::LinkOffer&, base::UniqueFd segment);
  Result<void> closed(Slot, const ipc::LinkClosed&);
  Result<void> cut(Slot, const ipc::LinkCut&);
  void died(Slot);
  // A task that the worker's queue gave up: the pair's other instance, and the link. Errors are the
  // worker's violations.
  struct Quarantined {
    Slot worker;
    std::size_t link;
  };
  Result<Quarantined> quarantined(Slot, const ipc::TaskQuarantined&);
  // A worker that lived through a change of the brain: says everything again that it may have missed.
  void resynced(Slot, const ipc::ResyncAnswer&);

  // Lets go of what nobody needs; cheap, called at leisure.
  void collect();

  nlohmann::json status() const;  // "links" of `status --json`
  // Lets go of all that lies on the link, whose workers are all down. Idempotent while they are.
  void make_empty(const std::string& link);
  QueueJournals& journals() noexcept { return journals_; }
  LeaseWatch& leases() noexcept { return leases_; }
  // Why an instance starts without some of its links, "" normally.
  std::string complaint(Slot) const;

 private:
  struct SideRef {
    Pair* pair;
    ipc::Side side;
  };

  std::vector<SideRef> sides_of(Slot) const;
  Pair* find_pair(std::string_view name);
  Result<SideRef> side_named(Slot, const std::string& pair, const char* did);
  const Pair* crowded(const Pair&, ipc::Side) const;
  void make_way(Pair&, ipc::Side);
  bool openable(const Pair&, ipc::Side) const;
  std::string lack(const Pair&, ipc::Side) const;
  void open_side(Pair&, ipc::Side);
  void tell_history(Pair&, ipc::Side reader);
  void send_segment(const Pair&, ipc::Side writer, const SideSegment&);
  void send_peer(const Pair&, ipc::Side receiver, std::uint16_t epoch, ipc::LinkUpdate::Kind,
                 std::vector<std::string> names, std::span<const int> fds);
  void connect(Pair&);
  void forget(Pair&, ipc::Side, std::uint16_t epoch);
  bool may_be_former(Slot) const;

  const SystemConfig& config_;
  const Plan& plan_;
  KeeperClient& keeper_;
  WorkerPost post_;
  QueueJournals journals_;
  mutable LeaseWatch leases_;  // makes its pages when it is asked for one
  mutable std::vector<Pair> pairs_;
  std::set<Slot> greeted_;  // by this brain
};

}  // namespace bulkhead::supervisor
