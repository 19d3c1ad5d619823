// One worker's place in a pool: the process that has it now, the channel to it, and what it is at. Used by the
// dispatcher, under its lock. Knows nothing of queues and policies.
//
// | tag       | writer              | reader              | visible after it            | killed in between |
// |-----------|---------------------|---------------------|-----------------------------|-------------------|
// | seat.stop | Seat::ask_to_stop() | stop_is_requested() | nothing but the wish itself | the owner kills it|
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/future.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/fd.hpp"
#include "base/mapped_region.hpp"
#include "pool/task_wire.hpp"
#include "pool/work.hpp"
#include "pool/zygote.hpp"

namespace bulkhead::pool {

// The descriptors that came with a result, for as long as its future lives.
class ResultAttachments final : public detail::AttachmentSource {
 public:
  void add(Arrival);
  Result<int> take(std::uint64_t number) override;
  std::shared_ptr<void>& kept(std::uint64_t number, bool writable) override;

 private:
  std::map<std::uint64_t, base::UniqueFd> arrived_;
  std::map<std::pair<std::uint64_t, bool>, std::shared_ptr<void>> kept_;
  std::mutex mutex_;
};

class Seat {
 public:
  using clock = std::chrono::steady_clock;
  enum class State : std::uint8_t {
    empty,     // nobody, and nobody on the way
    born,      // asked for; its channel is not there yet
    starting,  // its initializer runs
    ready,
    leaving,  // told to retire, or to die
  };

  explicit Seat(std::uint32_t index) noexcept : index_(index) {}

  // Asks the zygote for a worker. Errors: of the system; closed.
  Result<void> begin(Zygote&, std::uint64_t birth, const BirthOrder&);
  // The process is there. nullopt of who was killed on the way.
  void set_process(int pid, base::UniqueFd pidfd) noexcept;
  // Its first word on the socket; true when the channel is open.
  Result<bool> open_channel();
  // Forgets the process, which is dead. What it had not done stays in `under_way` for the caller.
  void clear() noexcept;

  // Sends. would_block: later.
  Result<void> send(const Order&, std::span<const std::byte> body,
                    std::span<const detail::Attachment> attachments);
  // Offers a call, which can be taken back until the worker begins it. nullopt: too many are on the way.
  std::optional<std::uint32_t> offer(std::uint64_t task) noexcept;
  bool take_back(std::uint64_t task) noexcept;  // false: the worker has it
  void forget_offer(std::uint64_t task) noexcept;

  // The next report with its body, which is valid until the next call; nullopt: none now.
  struct Incoming {
    Report report;
    std::span<const std::byte> body;
    std::shared_ptr<ResultAttachments> attachments;
  };
  std::optional<Incoming> receive();
  // After the death: what it had committed can still be received, and nothing else will come.
  void mourn();
  // Where only its death is certain, not its time: waits for it, for a moment.
  void await_death() noexcept;

  // For a sleep on doorbell(): true when there is something to receive, and no sleep.
  bool arm();
  void disarm() noexcept;
  bool is_armed() const noexcept { return armed_; }
  int doorbell() const noexcept;

  void ask_to_stop(std::uint64_t task, std::uint64_t item = 0) noexcept;  // task 0: nobody any more
  void signal(int number) noexcept;

  // The page of the dead one says what it was running; 0: nothing.
  std::uint64_t running() const noexcept;
  Bytes crash_report() const;

  std::uint32_t index() const noexcept { return index_; }
  std::uint64_t birth() const noexcept { return birth_; }
  int pid() const noexcept { return pid_; }
  int side() const noexcept { return side_.get(); }

  State state = State::empty;
  std::deque<std::shared_ptr<Work>> under_way;  // in the order in which they were sent
  std::uint64_t tasks_done = 0;                 // by this process
  // How it is being ended, if it is: each step at its time.
  struct Ending {
    FailureCause cause = FailureCause::timed_out;
    std::uint64_t task = 0;
    std::uint64_t item = 0;  // of a range: item + 1
    int step = 0;            // 0: asked, 1: SIGTERM, 2: SIGKILL
    clock::time_point next_at{};
  };
  std::optional<Ending> ending;
  std::optional<clock::time_point> task_deadline;  // of the task that runs
  std::optional<clock::time_point> stopped_since;  // for the sake of another one's task

 private:
  Result<void> send_ahead(std::uint64_t number, int fd);
  void discard_ahead();
  Result<void> send_order(Order head, std::span<const std::byte> body);
  SeatPage* page() const noexcept { return reinterpret_cast<SeatPage*>(page_.data()); }

  const std::uint32_t index_;
  std::uint64_t birth_ = 0;
  int pid_ = 0;
  base::UniqueFd pidfd_, side_, crash_;
  base::MappedRegion page_;
  std::shared_ptr<ipc::Endpoint> endpoint_;
  std::optional<Message> incoming_;
  std::optional<SealedBuffer> large_body_;
  bool armed_ = false;
  std::uint32_t ahead_ = 0;                          // attachments that no order has named yet
  std::array<std::uint64_t, offers_max> offered_{};  // as far as we know: by place; 0: none
  Bytes outgoing_;
};

}  // namespace bulkhead::pool
