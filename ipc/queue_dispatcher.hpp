// The `from` end of a queue: keeps tasks in the journal, deals each worker a few, takes in what workers say,
// and takes back what the dead held. Used by Queue and Completion; knows no control protocol.
//
// What is in the journal is so; everything else here is rebuilt from it and from the channels. A worker's
// messages are acknowledged in order and only as far as nothing is missing, so a successor is given
// again whatever this process had not carried out.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/queue.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ipc/queue_frame.hpp"
#include "ipc/queue_journal.hpp"

namespace bulkhead::ipc {

// How many tasks a worker has in hand: enough that it need not wait for the next, and few, because they
// wait with it when it is slow or stopped.
inline constexpr std::uint32_t queue_credit = 4;

// Who hears of tasks that are given up, in the end the supervisor.
class QuarantineDesk {
 public:
  struct Report {
    std::string pair;  // of the worker that the task failed with last
    TaskId task = 0;
    std::uint32_t attempts = 0;
    std::uint64_t since_ns = 0;  // when: it may be requeued, and given up again
  };
  virtual ~QuarantineDesk() = default;
  virtual std::uint64_t report(const Report&) = 0;
  virtual bool is_noted(
      std::uint64_t report) = 0;  // true once; until then a successor says it again
};

struct QueueMember {
  std::uint16_t worker = 0;  // its instance
  std::string pair;
  Channel channel;
};

struct DispatcherSpec {
  std::string link;
  std::uint16_t max_attempts = 3;
  base::UniqueFd journal;
  std::uint16_t workers = 0;  // that the queue has, with a channel or without; 0: not known
  std::vector<QueueMember> members;
  std::shared_ptr<QuarantineDesk> desk;
};

class QueueDispatcher : public std::enable_shared_from_this<QueueDispatcher> {
 public:
  // Errors: invalid_argument without a member; those of QueueJournal::take_over.
  static Result<std::shared_ptr<QueueDispatcher>> open(DispatcherSpec);
  ~QueueDispatcher();

  Result<TaskId> push(std::span<const std::byte> bytes, Deadline);
  Result<Completion> next_completion(Deadline);

  // By a completion that is let go.
  void settled(const QueueOutcome&) noexcept;
  void returned(std::unique_ptr<QueueOutcome>) noexcept;

  std::size_t message_max() const noexcept { return message_max_; }
  QueueStats stats() const;

 private:
  friend struct QueueOutcome;
  // What a worker said, until it is carried out: for a result, until the program has let go of it.
  struct Arrival {
    Message message;
    bool done = false;
  };
  struct Member {
    explicit Member(QueueMember given)
        : worker(given.worker), pair(std::move(given.pair)), channel(std::move(given.channel)) {}
    std::uint16_t worker;
    std::string pair;
    Channel channel;
    std::uint16_t epoch = 0;  // the incarnation that it has tasks from, or may get some; 0: none
    bool welcomed = false, greeted = false;  // that incarnation, by us; us, by it
    bool broken = false;                     // it is dealt nothing more
    bool mute = false;  // nothing can be received from it; to wait for that would be to spin
    std::size_t lacks_room = 0;  // for a message of so many bytes
    std::uint32_t in_hand = 0;
    std::optional<SlotIndex> started;
    std::vector<SlotIndex> awaited;  // a predecessor of ours had the result, which comes again
    std::deque<Arrival> arrivals;
  };

  QueueDispatcher(DispatcherSpec&, QueueJournal);
  void take_over(std::uint16_t workers);
  bool was_sent(SlotIndex) const;
  Member* member_of(std::uint16_t worker) noexcept;

  void turn();
  void attend(Member&);
  void welcome(Member&);
  void drain(Member&, bool to_the_end);
  void take(Member&, Message);
  bool carry_out(Member&, const QueueFrame&, Arrival&);
  void result_came(Member&, SlotIndex, Arrival&);
  bool violate(Member&) noexcept;
  void give_up_waiting(Member&, const std::vector<SlotIndex>& lost);
  void reclaim(Member&);
  void leaves_hand(Member&, SlotIndex) noexcept;
  void return_unblamed(SlotIndex);
  void blame(SlotIndex);
  void give_up(SlotIndex, bool redelivered);
  void deal();
  Member* least_busy() noexcept;
  bool deal_to(Member&, SlotIndex);
  void hear_desk();
  void readmit();
  void acknowledge_in_order(Member&) noexcept;
  void wait(Deadline);
  Error error(Errc, const char* what = "") const;

  const std::string link_;
  const std::shared_ptr<QuarantineDesk> desk_;
  QueueJournal journal_;
  std::size_t message_max_ = 0;
  std::vector<std::unique_ptr<Member>> members_;
  std::map<TaskId, SlotIndex> pending_;
  std::vector<bool> has_result_;  // by slot: a completion has come, and counts
  std::deque<std::unique_ptr<QueueOutcome>> ready_;
  std::map<std::uint64_t, TaskId> reports_;  // that the desk has not noted
  std::size_t only_unnoted_ = 0;             // tasks that wait for nothing but the desk
  std::uint64_t stale_ = 0, violations_ = 0;
};

// What a Completion is made of.
struct QueueOutcome {
  SlotIndex slot = 0;
  TaskId task = 0;
  std::uint32_t attempts = 0;
  bool quarantined = false, redelivered = false;
  std::string_view worker_name;
  std::span<const std::byte> bytes;
  QueueDispatcher::Member* member = nullptr;    // with a result: who it came from …
  QueueDispatcher::Arrival* arrival = nullptr;  // … and in which message
};

}  // namespace bulkhead::ipc
