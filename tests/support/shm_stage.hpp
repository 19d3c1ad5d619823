// One shared-memory end on a stage: the test plays the brain, and, where it wants to, a peer that writes
// its segment by hand.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ipc/end_page.hpp"
#include "ipc/lane_producer.hpp"
#include "ipc/segment.hpp"
#include "ipc/shm_endpoint.hpp"
#include "ipc/wake.hpp"

namespace bulkhead::test {

// Interrupts when told to; `on_service` is what the supervisor wants done then.
class ScriptedAttention final : public ipc::Attention {
 public:
  const std::atomic<std::uint32_t>& word() const noexcept override { return word_; }
  int fd() const noexcept override { return -1; }
  void service() noexcept override {
    if (on_service) on_service();
  }
  void interrupt() noexcept { ipc::ring(word_); }

  std::function<void()> on_service;

 private:
  std::atomic<std::uint32_t> word_{0};
};

inline std::vector<base::UniqueFd> copy_of(int fd) {
  std::vector<base::UniqueFd> fds;
  fds.push_back(std::move(*base::duplicate(fd)));
  return fds;
}

struct ShmEnd {
  std::shared_ptr<ScriptedAttention> attention = std::make_shared<ScriptedAttention>();
  std::shared_ptr<ipc::Endpoint> endpoint;

  Channel channel() const { return Channel(endpoint); }
  void post(ipc::LinkUpdate::Kind kind, std::uint16_t epoch, std::vector<base::UniqueFd> fds = {}) {
    endpoint->post({kind, epoch, std::move(fds)});
    attention->interrupt();
  }
  void meet(const ipc::Endpoint& peer) {
    post(ipc::LinkUpdate::Kind::peer_segment, peer.spec().epoch, copy_of(peer.segment_fd()));
  }
  void meet(const ipc::Segment& peer) {
    post(ipc::LinkUpdate::Kind::peer_segment, peer.facts().epoch, copy_of(peer.fd()));
  }
  void bury(std::uint16_t epoch) { post(ipc::LinkUpdate::Kind::peer_died, epoch); }
};

struct ShmEndOptions {
  Transport transport = Transport::shm;  // another: its pages and windows, without a connection
  ipc::Side side = ipc::Side::from;
  std::uint16_t epoch = 1;
  ipc::PeerLife peer_life = ipc::PeerLife::replaced;
  ChannelOptions channel{.capacity = 4096, .max_message = 1024, .wait = WaitMode::adaptive};
  int predecessor = -1;  // borrowed
};

inline Result<ShmEnd> try_open_end(const ShmEndOptions& options) {
  ShmEnd end;
  ipc::EndSpec spec;
  spec.link = "stage";
  spec.side = options.side;
  spec.epoch = options.epoch;
  spec.peer_life = options.peer_life;
  spec.options = options.channel;
  spec.attention = end.attention;
  if (options.predecessor >= 0) spec.predecessor = std::move(*base::duplicate(options.predecessor));
  auto endpoint = ipc::open_endpoint(options.transport, std::move(spec));
  if (!endpoint) return endpoint.error();
  end.endpoint = std::move(*endpoint);
  return end;
}

inline ShmEnd open_end(const ShmEndOptions& options = {}) {
  auto end = try_open_end(options);
  EXPECT_TRUE(end) << end.error().to_string();
  return std::move(end).value();
}

// Two ends that know each other, with doorbells.
inline std::pair<ShmEnd, ShmEnd> open_pair(ShmEndOptions options = {}) {
  auto from = open_end(options);
  options.side = ipc::Side::to;
  auto to = open_end(options);
  from.meet(*to.endpoint);
  to.meet(*from.endpoint);
  auto bells = std::move(ipc::make_doorbells()).value();
  from.post(ipc::LinkUpdate::Kind::sockets, 1, std::move(bells.from));
  to.post(ipc::LinkUpdate::Kind::sockets, 1, std::move(bells.to));
  return {std::move(from), std::move(to)};
}

// A peer whose every word is in the test's hands.
struct HandmadePeer {
  ipc::Segment segment;
  ipc::LaneProducer lane;

  explicit HandmadePeer(std::uint16_t epoch = 1, std::uint64_t base_index = 0)
      : segment(std::move(*ipc::Segment::create({.name = "handmade",
                                                 .epoch = epoch,
                                                 .ring_capacity = 4096,
                                                 .base_index = base_index}))),
        lane(segment.ring(), segment.page(), base_index) {}
  bool commit(std::string_view text) { return lane.push(std::as_bytes(std::span(text))); }
};

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}
inline std::string text_of(const Message& message) {
  return {reinterpret_cast<const char*>(message.bytes().data()), message.bytes().size()};
}
// Text and index of the next message, "again" before it when redelivered, or the error.
inline std::string next(ipc::Endpoint& endpoint) {
  const auto message = endpoint.receive(Deadline::now());
  if (!message) return message.error().code.message();
  return (message->redelivered() ? "again " : "") + std::to_string(message->index()) + " " +
         text_of(*message);
}
inline std::string text_of(Errc code) { return make_error_code(code).message(); }
inline Deadline soon() { return Deadline::in(std::chrono::seconds(30)); }

}  // namespace bulkhead::test
