// The killed recoverer: a successor is killed while it makes its segment, takes over from its dead predecessor
// and offers what it made. If the offer went out, the next one takes over from it, else from the first, as
// the brain does it. How the first one died is part of the state: it was killed in the middle of its own work.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <map>
#include <optional>

#include "tests/crash/sweep/calibration.hpp"
#include "tests/crash/sweep/lane_stage.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"
#include "tests/crash/sweep/victim.hpp"

namespace bulkhead::sweep {
namespace {

void offer(int socket, int fd) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (sendmsg(socket, &message, MSG_NOSIGNAL) != 1) give_up("sweep: offer a segment");
}

base::UniqueFd take_offer(int socket) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1) return {};
  int fd = -1;
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message)) {
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  }
  return base::UniqueFd(fd);
}

constexpr std::size_t bytes = 200;
constexpr unsigned deaths = 6;  // spread over what the first one did

// What the first one was killed in: a sender sends once, a receiver takes and acknowledges once.
class FirstLife final : public Operation {
 public:
  explicit FirstLife(ipc::Side of) : side(of) {
    stage.lap(bytes);
    base = stage.sent();
    for (int i = 0; i < 2; ++i) stage.send(bytes);
    stage.plan(bytes);
  }
  void act(int) override {
    if (side == ipc::Side::from) {
      const auto text = message_text(stage.sent() + 1, bytes);
      if (stage.from.endpoint->send(text, Deadline::now())) ++progress->done;
      return;
    }
    std::optional<Message> view(std::move(*stage.to.endpoint->receive(Deadline::now())));
    ++progress->done;
    view->acknowledge();
    ++progress->acknowledged;
  }
  void check(Verdict&) override {}

  struct Progress {
    std::atomic<std::uint64_t> done, acknowledged;
  };
  const ipc::Side side;
  LaneStage stage;
  std::uint64_t base = 0;
  Shared<Progress> progress;
};

const Trace& trace_of_first(ipc::Side side) {
  static std::map<ipc::Side, Trace> known;
  if (const auto found = known.find(side); found != known.end()) return found->second;
  FirstLife life(side);
  return known.emplace(side, calibrate(life, 0).value()).first->second;
}

class Succession final : public Operation {
 public:
  Succession(ipc::Side side, unsigned death) : side_(side), first_(side) {
    const Trace& trace = trace_of_first(side);
    Victim victim(first_, 0);
    if (!victim.run_to(trace, trace.end() * death / (deaths - 1))) {
      give_up("sweep: the first victim did not come to its point");
    }
  }

  void act(int) override {
    auto end = open_lane_endpoint({side_, 2, first_.stage.capacity(), first_memory()}, attention_);
    offer(sockets_.second.get(), (*end)->segment_fd());
    progress_->offered = 1;
    offered_end_ = std::move(*end);
  }
  void check(Verdict& verdict) override {
    const base::UniqueFd offered = take_offer(sockets_.first.get());
    verdict.expect(progress_->offered == 0 || offered.is_open(), "an offer got lost");
    if (offered.is_open()) {
      const auto seen = ipc::Segment::attach_peer(base::duplicate(offered.get()).value());
      verdict.expect(seen && seen->facts().epoch == 2, "an incomplete segment was offered");
    }
    const auto& did = *first_.progress;
    const std::uint64_t base = first_.base, sent = first_.stage.sent();
    Deaths deaths_of_both;
    if (side_ == ipc::Side::from) {
      deaths_of_both.committed = Range{sent + did.done, sent + 1};
    } else {
      deaths_of_both.receiver =
          Deaths::Receiver{{base + did.done, base + 1}, {base + did.acknowledged, base + 1}};
    }
    first_.stage.settle(verdict, deaths_of_both,
                        {.epoch = 3, .memory = offered.is_open() ? offered.get() : -1});
  }

 private:
  struct Progress {
    std::atomic<std::uint64_t> offered;
  };
  int first_memory() const {
    const auto& stage = first_.stage;
    return (side_ == ipc::Side::from ? stage.from : stage.to).endpoint->segment_fd();
  }

  const ipc::Side side_;
  FirstLife first_;
  base::FdPair sockets_ = base::make_socketpair(SOCK_STREAM).value();
  std::shared_ptr<StageAttention> attention_ = std::make_shared<StageAttention>();
  std::shared_ptr<ipc::Endpoint> offered_end_;
  Shared<Progress> progress_;
};

}  // namespace

Rows segment_open() {
  Rows rows;
  for (const ipc::Side side : {ipc::Side::from, ipc::Side::to}) {
    for (unsigned death = 0; death < deaths; ++death) {
      rows.push_back({std::string("segment.") +
                          (side == ipc::Side::from ? "sender." : "receiver.") +
                          std::to_string(death),
                      [=] { return std::make_unique<Succession>(side, death); }});
    }
  }
  return rows;
}

}  // namespace bulkhead::sweep
