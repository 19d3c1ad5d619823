// Two ends of a shared-memory link on the sweep's stage, and the one check that every lane operation
// ends with: recovery as the brain does it, then the numbered invariants of docs/design/lane.md and the
// delivery promises. Used by the lane operations; the tracer holds both ends, a victim uses the copy of
// its own that fork() gave it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ipc/endpoint.hpp"
#include "ipc/segment.hpp"
#include "tests/crash/sweep/operation.hpp"

namespace bulkhead::sweep {

class StageAttention final : public ipc::Attention {
 public:
  const std::atomic<std::uint32_t>& word() const noexcept override { return word_; }
  int fd() const noexcept override { return -1; }
  void service() noexcept override {}
  void interrupt() noexcept { ++word_; }

 private:
  std::atomic<std::uint32_t> word_{0};
};

std::vector<base::UniqueFd> copy_of(int fd);

// An end and whoever plays the brain for it.
struct LaneEnd {
  std::shared_ptr<StageAttention> attention = std::make_shared<StageAttention>();
  std::shared_ptr<ipc::Endpoint> endpoint;

  void post(ipc::LinkUpdate::Kind kind, std::uint16_t epoch, std::vector<base::UniqueFd> fds = {});
  void meet(const ipc::Endpoint& peer) {
    post(ipc::LinkUpdate::Kind::peer_segment, peer.spec().epoch, copy_of(peer.segment_fd()));
  }
  void bury(std::uint16_t epoch) { post(ipc::LinkUpdate::Kind::peer_died, epoch); }
};

struct LaneEndSpec {
  ipc::Side side = ipc::Side::from;
  std::uint16_t epoch = 1;
  std::size_t capacity = 4096;
  int predecessor = -1;  // borrowed
};
Result<std::shared_ptr<ipc::Endpoint>> open_lane_endpoint(const LaneEndSpec& spec,
                                                          const std::shared_ptr<StageAttention>&);
LaneEnd open_lane_end(const LaneEndSpec& spec);

// The bytes of message `index`, different from those of any other: a message that is torn, stale or
// somebody else's never passes for it.
std::span<const std::byte> message_text(std::uint64_t index, std::size_t bytes);
bool is_message(std::span<const std::byte> found, std::uint64_t index, std::size_t bytes);

// Between what an operation had finished when it died and what it was in the middle of.
struct Range {
  std::uint64_t low = 0, high = 0;
  bool holds(std::uint64_t value) const noexcept { return low <= value && value <= high; }
};

// The dead ends, and how far each may have come, in numbers of messages on the link.
struct Deaths {
  std::optional<Range> committed;  // the sender died
  std::uint64_t batch = 1;         // so many messages go with each of its commits
  struct Receiver {
    Range taken, acknowledged;
  };
  std::optional<Receiver> receiver;  // the receiver died
};

// Who takes over: the next incarnation, from the memory of the one that offered its own last.
struct Heirs {
  std::uint16_t epoch = 2;
  int memory = -1;  // borrowed; -1: of the first incarnation
};

class LaneStage {
 public:
  explicit LaneStage(std::size_t capacity = 4096, bool introduced = true);

  LaneEnd from, to;
  const ipc::EndPage& receiver_page() const noexcept { return receiver_->page(); }

  void give_doorbells();

  // --- before a victim is forked, or while it is paused: the survivor's own work ---
  bool send(std::size_t bytes);     // false when there is no room
  void plan(std::size_t bytes);     // the victim is going to send this one next
  bool receive(bool keep = false);  // false when nothing is there; else acknowledged or kept
  void lap(std::size_t bytes);      // until the ring is full of what is left of old messages
  void fill(std::size_t bytes) {
    while (send(bytes)) continue;
  }
  void advance_to_wrap(std::size_t bytes);  // until a message of this size needs padding before it
  std::uint64_t sent() const noexcept { return sent_; }
  std::uint64_t received() const noexcept { return received_; }
  std::size_t bytes_of(std::uint64_t index) const { return sizes_[index]; }
  std::size_t capacity() const noexcept { return capacity_; }
  void complain(const std::string& what) { early_.expect(false, what); }

  // --- afterwards ---
  void settle(Verdict& verdict, const Deaths& deaths, const Heirs& heirs = {});

 private:
  struct Left {
    std::uint64_t acknowledged = 0, taken = 0, committed = 0;
  };
  std::optional<Left> read_pages(Verdict& verdict, const Deaths& deaths);
  bool walk(Verdict& verdict, Left& left, std::uint64_t position, std::uint64_t batch);
  void deliver(Verdict& verdict, const Left& left, bool receiver_died, LaneEnd& receiver);
  void go_round(Verdict& verdict, LaneEnd& sender, LaneEnd& receiver);
  bool check_message(Verdict& verdict, const Message& message, std::uint64_t index,
                     bool redelivered);
  std::uint64_t offset() const noexcept { return ends_[sent_] & (capacity_ - 1); }
  std::uint64_t end_of(std::uint64_t index) const;

  const std::size_t capacity_;
  std::optional<ipc::PeerSegment> sender_, receiver_;  // read-only, as a peer sees them
  std::vector<std::size_t> sizes_{0};                  // by number of the message
  std::vector<std::uint64_t> ends_{0};                 // the position after it
  std::uint64_t sent_ = 0, received_ = 0;              // by the tracer's own ends
  std::vector<Message> kept_;
  Verdict early_;  // found while the survivor worked
};

}  // namespace bulkhead::sweep
