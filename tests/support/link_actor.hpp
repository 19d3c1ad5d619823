// Child processes that hold one end of a link, for tests that kill them: the test plays the
// brain over a control socket and an attention word, and reads in shared memory how far each came. The children
// are forked from a test with one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/fd.hpp"
#include "ipc/endpoint.hpp"
#include "ipc/segment.hpp"

namespace bulkhead::test {

// Written by the children, read by the test; survives them.
struct Progress {
  std::atomic<std::uint64_t> committed;  // send() returned for this message
  std::atomic<std::uint64_t> returned;   // receive() returned this message
  std::atomic<std::uint64_t> again_first,
      again_last;  // what it was given as redelivered; 0: nothing
  std::atomic<std::uint64_t> resume_point, last_committed;  // as the newest incarnation found them
  std::atomic<std::uint64_t> limit;                         // the sender stops here
  std::atomic<std::uint64_t>
      trigger[2];  // by side: who reaches or has passed this message rings once
  std::atomic<std::uint64_t> safety_net;  // of who finished
};

// One word of attention for each side, and what they share, in memory that every child inherits.
class Stage {
 public:
  Stage();
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  Progress& progress() noexcept { return shared_->progress; }
  std::atomic<std::uint32_t>& attention(ipc::Side side) noexcept {
    return shared_->attention[static_cast<std::size_t>(side)];
  }
  int bell(ipc::Side side) const noexcept { return bells_[static_cast<std::size_t>(side)].get(); }
  void ring(ipc::Side side) noexcept;
  void reached(ipc::Side side, std::uint64_t index) noexcept;  // by a child: rings for its trigger

 private:
  struct Shared {
    Progress progress;
    alignas(128) std::atomic<std::uint32_t> attention[2];
  };
  Shared* shared_;
  base::UniqueFd bells_[2];  // eventfds
};

struct ActorSpec {
  Transport transport = Transport::shm;
  ipc::Side side = ipc::Side::from;
  std::uint16_t epoch = 1;
  int predecessor = -1;  // borrowed
  ChannelOptions options;
  void (*before_open)() = nullptr;  // in the child
};

// A child that runs `role` on its end. Killed and reaped at the latest by the destructor.
class Actor {
 public:
  using Role = std::function<int(Stage&, Channel&)>;  // its result is the exit status

  static std::unique_ptr<Actor> start(Stage& stage, const ActorSpec& spec, const Role& role);
  ~Actor();

  ipc::Side side() const noexcept { return side_; }
  std::uint16_t epoch() const noexcept { return epoch_; }
  int segment() const noexcept {
    return segment_.get();
  }  // as offered; valid beyond the child's death

  void tell(ipc::LinkUpdate::Kind kind, std::uint16_t epoch, std::vector<int> fds = {});
  void kill();  // SIGKILL, confirmed
  int wait();   // for its own end: the exit status, or 128 + signal
  int pidfd() const noexcept { return pidfd_.get(); }

 private:
  Actor(Stage& stage, const ActorSpec& spec) noexcept
      : stage_(stage), side_(spec.side), epoch_(spec.epoch) {}

  Stage& stage_;
  const ipc::Side side_;
  const std::uint16_t epoch_;
  int pid_ = -1;
  base::UniqueFd pidfd_, control_, segment_;
};

// Waits until one of the descriptors is readable; -1 after a minute, which no test should need.
int first_readable(const std::vector<int>& fds);
void drain_event(int fd);

}  // namespace bulkhead::test
