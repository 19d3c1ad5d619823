// Plays the supervisor's part for a topic inside a test: starts and buries incarnations of the publisher and
// of each subscriber, and tells the others. An incarnation dies when the test destroys its Topic and
// everything received through it, without close().
#pragma once

#include <sys/eventfd.h>

#include <bulkhead/topic.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.hpp"
#include "ipc/topic_end.hpp"
#include "ipc/topic_writer.hpp"
#include "ipc/wake.hpp"

namespace bulkhead::test {

class TopicAttention final : public ipc::Attention {
 public:
  explicit TopicAttention(std::chrono::nanoseconds longest) : longest_(longest) {}
  const std::atomic<std::uint32_t>& word() const noexcept override { return word_; }
  int fd() const noexcept override { return event_.get(); }
  void service() noexcept override {
    eventfd_t count = 0;
    static_cast<void>(::eventfd_read(event_.get(), &count));
  }
  std::chrono::nanoseconds longest_sleep() const noexcept override { return longest_; }
  void interrupt() noexcept {
    ipc::ring(word_);
    static_cast<void>(::eventfd_write(event_.get(), 1));
  }

 private:
  const std::chrono::nanoseconds longest_;
  std::atomic<std::uint32_t> word_{0};
  base::UniqueFd event_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
};

class TopicStage {
 public:
  TopicStage(Transport transport, std::vector<TopicOptions> subscribers)
      : transport_(transport), options_(std::move(subscribers)) {
    pairs_.resize(options_.size());
  }

  Topic start_publisher() {
    std::vector<std::shared_ptr<ipc::Endpoint>> ends;
    for (std::size_t i = 0; i < pairs_.size(); ++i) ends.push_back(open(i, ipc::Side::from));
    return Topic(std::move(ends));
  }
  Topic start_subscriber(std::size_t i) {
    std::vector<std::shared_ptr<ipc::Endpoint>> ends;
    ends.push_back(open(i, ipc::Side::to));
    return Topic(std::move(ends));
  }
  // Its process is dead for certain. The Topic is gone by then.
  void bury_publisher() {
    for (std::size_t i = 0; i < pairs_.size(); ++i) bury(i, ipc::Side::from);
  }
  void bury_subscriber(std::size_t i) { bury(i, ipc::Side::to); }

  // A publisher that was killed inside publish(): the lanes up to `reached` have the message.
  void publish_and_die(Topic publisher, std::size_t reached, std::span<const std::byte> bytes) {
    const std::uint64_t number = publisher.last_published() + 1;
    for (std::size_t i = 0; i < reached; ++i) {
      auto end = std::static_pointer_cast<ipc::TopicWriter>(side(i, ipc::Side::from).living.lock());
      end->publish(bytes, number);
    }
    { const Topic gone(std::move(publisher)); }
    bury_publisher();
  }

  void post(std::size_t i, ipc::Side to, ipc::LinkUpdate update) {
    auto& end = side(i, to);
    const auto living = end.living.lock();
    if (!living) return;
    living->post(std::move(update));
    end.attention->interrupt();
  }
  // A fresh connection for the living incarnations of both ends, as the brain makes it.
  void connect(std::size_t i) {
    End &from = pairs_[i].from, &to = pairs_[i].to;
    if (from.living.expired() || to.living.expired()) return;
    auto sockets = ipc::make_sockets(transport_).value();
    using Kind = ipc::LinkUpdate::Kind;
    post(i, ipc::Side::from,
         {Kind::sockets, to.incarnations.back().epoch, std::move(sockets.from)});
    post(i, ipc::Side::to, {Kind::sockets, from.incarnations.back().epoch, std::move(sockets.to)});
  }
  void stop(std::size_t i, ipc::Side which, StopFlag& flag) {
    flag.raise();
    side(i, which).attention->interrupt();
  }
  bool connects = true;  // ends that both live are connected at once
  // Of ends that are started from then on. So long that a lost wake-up fails the test.
  std::chrono::nanoseconds longest_sleep = std::chrono::seconds(1);

  int segment_of(std::size_t i, ipc::Side which) {
    return side(i, which).incarnations.back().segment.get();
  }

 private:
  struct Incarnation {
    std::uint16_t epoch;
    base::UniqueFd segment;
    bool dead = false;
  };
  struct End {
    std::vector<Incarnation> incarnations;
    std::weak_ptr<ipc::Endpoint> living;
    std::shared_ptr<TopicAttention> attention;
  };
  struct Pair {
    End from, to;
  };

  End& side(std::size_t i, ipc::Side which) {
    return which == ipc::Side::from ? pairs_[i].from : pairs_[i].to;
  }

  std::shared_ptr<ipc::Endpoint> open(std::size_t i, ipc::Side which) {
    const TopicOptions& options = options_[i];
    End& own = side(i, which);
    own.attention = std::make_shared<TopicAttention>(longest_sleep);
    ipc::EndSpec spec;
    spec.link = "tested";
    spec.peer = "peer." + std::to_string(i);
    spec.side = which;
    spec.epoch = static_cast<std::uint16_t>(own.incarnations.size() + 1);
    spec.options = {options.capacity, options.max_message, options.wait};
    spec.topic = options.policy;
    spec.attention = own.attention;
    if (!own.incarnations.empty()) {
      spec.predecessor = base::duplicate(own.incarnations.back().segment.get()).value();
    }
    const std::uint16_t epoch = spec.epoch;
    auto end = ipc::open_topic_end(transport_, std::move(spec)).value();
    own.incarnations.push_back({epoch, base::duplicate(end->segment_fd()).value()});
    own.living = end;
    tell_of(i, which, own.incarnations.back());
    for (const auto& incarnation : side(i, ipc::other(which)).incarnations) {
      tell_of(i, ipc::other(which), incarnation);
    }
    if (connects) connect(i);
    return end;
  }

  void tell_of(std::size_t i, ipc::Side about, const Incarnation& incarnation) {
    using Kind = ipc::LinkUpdate::Kind;
    ipc::LinkUpdate segment{Kind::peer_segment, incarnation.epoch, {}};
    segment.fds.push_back(base::duplicate(incarnation.segment.get()).value());
    post(i, ipc::other(about), std::move(segment));
    if (incarnation.dead) {
      post(i, ipc::other(about), {Kind::peer_died, incarnation.epoch, {}});
    }
  }

  void bury(std::size_t i, ipc::Side which) {
    End& end = side(i, which);
    end.incarnations.back().dead = true;
    end.living.reset();
    post(i, ipc::other(which),
         {ipc::LinkUpdate::Kind::peer_died, end.incarnations.back().epoch, {}});
  }

  const Transport transport_;
  const std::vector<TopicOptions> options_;
  std::vector<Pair> pairs_;
};

}  // namespace bulkhead::test
