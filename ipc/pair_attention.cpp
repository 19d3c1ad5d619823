#include "ipc/pair_attention.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>

namespace bulkhead::ipc {
namespace {

constexpr std::size_t index_of(Side side) noexcept { return static_cast<std::size_t>(side); }

bool has_ended(int fd) noexcept {
  pollfd watched{fd, POLLIN, 0};
  return ::poll(&watched, 1, 0) == 1 && (watched.revents & (POLLHUP | POLLIN)) != 0;
}

}  // namespace

// What both attentions of a pair know in one process.
struct PairAttention::Lifeline {
  struct End {
    base::UniqueFd line;
    std::weak_ptr<Endpoint> endpoint;
    bool watched = false;         // there was an endpoint
    bool let_go = false;          // in this process
    bool closed_for_all = false;  // as let_go() answered
    bool told = false;            // of the peer's end
  };
  std::mutex mutex;
  std::array<End, 2> ends;
};

Result<PairAttention::Both> PairAttention::make() {
  auto sockets = base::make_socketpair(SOCK_STREAM);
  if (!sockets) return sockets.error();
  auto lifeline = std::make_shared<Lifeline>();
  lifeline->ends[0].line = std::move(sockets->first);
  lifeline->ends[1].line = std::move(sockets->second);
  return Both{std::shared_ptr<PairAttention>(new PairAttention(lifeline, Side::from)),
              std::shared_ptr<PairAttention>(new PairAttention(lifeline, Side::to))};
}

PairAttention::PairAttention(std::shared_ptr<Lifeline> lifeline, Side side)
    : lifeline_(std::move(lifeline)), side_(side) {}

PairAttention::~PairAttention() {
  const std::lock_guard lock(lifeline_->mutex);
  lifeline_->ends[index_of(side_)].line.reset();
}

void PairAttention::watch(const std::shared_ptr<Endpoint>& endpoint) {
  const std::lock_guard lock(lifeline_->mutex);
  lifeline_->ends[index_of(side_)].endpoint = endpoint;
  lifeline_->ends[index_of(side_)].watched = true;
}

int PairAttention::fd() const noexcept {
  const std::lock_guard lock(lifeline_->mutex);
  const auto& mine = lifeline_->ends[index_of(side_)];
  return mine.told || !mine.watched ? -1 : mine.line.get();
}

std::chrono::nanoseconds PairAttention::longest_sleep() const noexcept {
  const std::lock_guard lock(lifeline_->mutex);
  if (!lifeline_->ends[index_of(side_)].watched) return std::chrono::nanoseconds::max();
  return std::chrono::milliseconds(50);
}

void PairAttention::service() noexcept {
  std::shared_ptr<Endpoint> endpoint;
  LinkUpdate update{LinkUpdate::Kind::peer_died, 1, {}};
  {
    const std::lock_guard lock(lifeline_->mutex);
    auto& mine = lifeline_->ends[index_of(side_)];
    if (mine.told || !mine.line.is_open() || !has_ended(mine.line.get())) return;
    mine.told = true;
    if (lifeline_->ends[index_of(other(side_))].closed_for_all)
      update.kind = LinkUpdate::Kind::peer_closed;
    endpoint = mine.endpoint.lock();
  }
  if (endpoint) endpoint->post(std::move(update));
}

bool PairAttention::let_go(const std::function<EndUse()>& use) noexcept {
  const std::lock_guard lock(lifeline_->mutex);
  auto& mine = lifeline_->ends[index_of(side_)];
  const auto& theirs = lifeline_->ends[index_of(other(side_))];
  mine.let_go = true;
  mine.closed_for_all = use() == EndUse::here || theirs.let_go;
  if (mine.closed_for_all) return true;
  // Both ends are held here and this one was never used: perhaps only one half of a fork drops it.
  // Then the other process keeps the line open after we have closed our copy.
  mine.line.reset();
  // When nobody does, and somebody used it, then that one died: its death is what the peer is to hear of. Asked in this
  // order, because it may have used the end just before.
  mine.closed_for_all = has_ended(theirs.line.get()) && use() == EndUse::none;
  return mine.closed_for_all;
}

}  // namespace bulkhead::ipc
