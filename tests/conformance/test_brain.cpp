#include "tests/conformance/test_brain.hpp"

#include <sys/eventfd.h>

#include "ipc/wake.hpp"

namespace bulkhead::test {

using ipc::LinkUpdate;
using ipc::Side;

TestAttention::TestAttention() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void TestAttention::service() noexcept {
  eventfd_t count = 0;
  static_cast<void>(::eventfd_read(event_.get(), &count));
}

void TestAttention::interrupt() noexcept {
  ipc::ring(word_);
  static_cast<void>(::eventfd_write(event_.get(), 1));
}

TestBrain::TestBrain(Transport transport, ChannelOptions options)
    : transport_(transport), options_(options) {}

Channel TestBrain::start(Side side) {
  End& own = end(side);
  own.attention = std::make_shared<TestAttention>();
  ipc::EndSpec spec;
  spec.link = "tested";
  spec.peer = "peer.0";
  spec.side = side;
  spec.epoch = static_cast<std::uint16_t>(own.incarnations.size() + 1);
  spec.options = options_;
  spec.attention = own.attention;
  if (!own.incarnations.empty()) {
    spec.predecessor = base::duplicate(own.incarnations.back().segment.get()).value();
  }
  const std::uint16_t epoch = spec.epoch;
  auto endpoint = ipc::open_endpoint(transport_, std::move(spec)).value();
  own.incarnations.push_back({epoch, base::duplicate(endpoint->segment_fd()).value()});
  own.living = endpoint;
  tell_of(side, own.incarnations.back());
  for (const auto& incarnation : end(other(side)).incarnations) tell_of(other(side), incarnation);
  connect();
  return Channel(std::move(endpoint));
}

void TestBrain::bury(Side side) {
  Incarnation& last = end(side).incarnations.back();
  last.dead = true;
  end(side).living.reset();
  post(other(side), {LinkUpdate::Kind::peer_died, last.epoch, {}});
}

void TestBrain::stop(Side side, StopFlag& flag) {
  flag.raise();
  end(side).attention->interrupt();
}

void TestBrain::tell_of(Side about, const Incarnation& incarnation) {
  LinkUpdate segment{LinkUpdate::Kind::peer_segment, incarnation.epoch, {}};
  segment.fds.push_back(base::duplicate(incarnation.segment.get()).value());
  post(other(about), std::move(segment));
  if (incarnation.dead) post(other(about), {LinkUpdate::Kind::peer_died, incarnation.epoch, {}});
}

void TestBrain::connect() {
  End &from = end(Side::from), &to = end(Side::to);
  if (from.living.expired() || to.living.expired()) return;
  auto sockets = ipc::make_sockets(transport_).value();
  for (const auto* fds : {&sockets.from, &sockets.to}) {
    for (const auto& fd : *fds) {
      if (holding_) held_.push_back(base::duplicate(fd.get()).value());
    }
  }
  post(Side::from,
       {LinkUpdate::Kind::sockets, to.incarnations.back().epoch, std::move(sockets.from)});
  post(Side::to,
       {LinkUpdate::Kind::sockets, from.incarnations.back().epoch, std::move(sockets.to)});
}

void TestBrain::post(Side side, LinkUpdate update) {
  const auto endpoint = end(side).living.lock();
  if (!endpoint) return;
  endpoint->post(std::move(update));
  end(side).attention->interrupt();
}

}  // namespace bulkhead::test
