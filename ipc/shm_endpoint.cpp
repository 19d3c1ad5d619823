#include "ipc/shm_endpoint.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "ipc/first_look.hpp"
#include "ipc/shm_receiver.hpp"
#include "ipc/shm_sender.hpp"
#include "ipc/succession.hpp"

namespace bulkhead::ipc {
namespace {

class ShmEndpoint final : public Endpoint {
 public:
  ShmEndpoint(EndSpec spec, Segment segment, const ResumeState& resume)
      : link_(std::move(spec), std::move(segment)),
        resume_point_(resume.acknowledged.count + 1),
        sender_(link_),
        receiver_(link_, resume) {}

  Result<void> send(std::span<const std::byte> bytes, Deadline deadline) override {
    if (sender_.send_at_once(bytes, deadline)) return {};
    return sender_.send(bytes, deadline);
  }
  Result<void> send_batch(MessageBatch messages, Deadline deadline) override {
    if (auto fits = check_batch(link_.spec, messages, link_.segment.facts().ring_capacity); !fits)
      return fits;
    return sender_.send_batch(messages, deadline);
  }
  Result<Lent> lend(std::size_t bytes, Deadline deadline) override {
    return sender_.lend(bytes, deadline);
  }
  Result<void> commit(const Lent& lent, Deadline deadline) override {
    return sender_.commit(lent, deadline);
  }
  void abandon(const Lent& lent) noexcept override { sender_.abandon(lent); }
  // A peer that is answering right now is waited for here, so that its message is on its way to the
  // caller with the first look that finds it.
  Result<Message> receive(Deadline deadline) override {
    ShmReceiver::Received got;  // its address is not taken, so that it stays in registers
    const int looks = receiver_.looks_at_once(deadline);
    int pauses = looks > 1 ? first_look_.pauses() : 0;
    for (int i = 0; i < pauses; ++i) cpu_pause();
    for (;; ++pauses) {
      const auto glance = receiver_.take_at_once(got, deadline);
      if (glance == ShmReceiver::Glance::record) {
        if (looks > 1) first_look_.found_after(pauses);
        return hand_out(got);
      }
      if (glance == ShmReceiver::Glance::unusual || pauses + 1 >= looks) {
        return receive_slowly(deadline);
      }
      cpu_pause();
    }
  }
  void acknowledge(std::uint64_t position) noexcept override { receiver_.acknowledge(position); }
  void release(std::uint64_t position) noexcept override {
    receiver_.release(position);
    came_back();
  }

  bool prepare_receive_wait() override { return receiver_.prepare_wait(); }
  void finish_receive_wait() noexcept override {
    receiver_.finish_wait();
    look_again();
  }
  WaitPlan receive_plan() const noexcept override { return {receiver_.doorbell(), POLLIN}; }
  bool prepare_send_wait(std::size_t bytes) override { return sender_.prepare_wait(bytes); }
  void finish_send_wait() noexcept override { sender_.finish_wait(); }
  WaitPlan send_plan() const noexcept override { return {sender_.doorbell(), POLLIN}; }

  void post(LinkUpdate) override;
  int segment_fd() const noexcept override { return link_.segment.fd(); }
  void close() noexcept override;
  std::uint16_t peer_epoch() const noexcept override { return link_.roster.epoch(); }
  bool peer_is_dead(std::uint16_t epoch) const noexcept override {
    return link_.roster.is_dead(epoch);
  }
  std::uint64_t last_committed() const noexcept override { return sender_.committed(); }
  std::uint64_t resume_point() const noexcept override { return resume_point_; }
  ChannelStats stats() const noexcept override;
  const EndSpec& spec() const noexcept override { return link_.spec; }

 private:
  Result<Message> receive_slowly(Deadline);
  Result<Message> hand_out(const ShmReceiver::Received& got) noexcept {
    return Result<Message>(boost::system::in_place_value,
                           part(got.bytes, got.index, got.index, got.epoch, got.redelivered));
  }

  ShmLink link_;
  const std::uint64_t resume_point_;
  ShmSender sender_;
  ShmReceiver receiver_;
  FirstLook first_look_;
};

Result<Message> ShmEndpoint::receive_slowly(Deadline deadline) {
  return watched([&]() -> Result<Message> {
    ShmReceiver::Received got;
    if (const auto done = receiver_.receive(got, deadline); !done) return done.error();
    return hand_out(got);
  });
}

// The peer may have gone to sleep after it got our segment and before we got its own, or the
// doorbells: what we committed in between was not rung for.
void ShmEndpoint::post(LinkUpdate update) {
  const auto kind = update.kind;
  link_.roster.post(std::move(update));
  if (kind != LinkUpdate::Kind::peer_segment && kind != LinkUpdate::Kind::sockets) return;
  const auto peer = link_.roster.newest();
  const auto bells = link_.roster.doorbells();
  if (!peer) return;
  waker_barrier(Barrier::fences);
  Ringer(link_.segment.page().message_bell)
      .ring_if_asleep(peer->page().armed, bells ? &bells->message : nullptr);
  Ringer(link_.segment.page().space_bell)
      .ring_if_asleep(peer->page().wants_space, bells ? &bells->space : nullptr);
}

void ShmEndpoint::close() noexcept {
  // relaxed: one caller wins; nudge() publishes it to our own waiting threads.
  if (link_.closed.exchange(true, std::memory_order_relaxed)) return;
  link_.roster.nudge();
  const bool used =
      sender_.sent() + receiver_.received() + sender_.sleeps() + receiver_.sleeps() != 0;
  EndPage& page = link_.segment.page();
  const auto use = [&] { return use_of_end(used, page, link_.segment.ring()); };
  if (!link_.spec.attention->let_go(use)) return;
  // sync page.closed: release; pairs with LivePeer::has_closed; publishes all that we committed
  page.closed.store(1, std::memory_order_release);
  ring(page.message_bell);
  ring(page.space_bell);
  if (const auto bells = link_.roster.doorbells()) {
    Doorbells::ring(bells->message);
    Doorbells::ring(bells->space);
  }
}

ChannelStats ShmEndpoint::stats() const noexcept {
  ChannelStats stats;
  stats.sent = sender_.sent();
  stats.received = receiver_.received();
  stats.redelivered = receiver_.redelivered();
  stats.bytes_sent = sender_.bytes_sent();
  stats.bytes_received = receiver_.bytes_received();
  stats.sleeps = sender_.sleeps() + receiver_.sleeps();
  stats.wakes = sender_.wakes() + receiver_.wakes();
  stats.safety_net = sender_.safety_net() + receiver_.safety_net();
  stats.violations = sender_.violations() + receiver_.violations() + link_.roster.violations();
  // The peer's own figure, so at most what we have sent ourselves.
  if (const auto peer = link_.roster.newest()) {
    const auto acknowledged = load_acknowledged(peer->page());
    const std::uint64_t before = link_.segment.facts().base_index;
    if (acknowledged && acknowledged->count > before) {
      stats.acknowledged = std::min(acknowledged->count - before, stats.sent);
    }
  }
  return stats;
}

Error unfit(const EndSpec& spec, const std::string& what) {
  return make_error(Errc::invalid_argument, spec.link + ": " + what);
}

}  // namespace

Result<std::shared_ptr<Endpoint>> open_shm_endpoint(EndSpec spec) {
  const auto& options = spec.options;
  if (!spec.attention) return unfit(spec, "an end needs somebody who may interrupt it");
  if (!std::has_single_bit(options.capacity) || options.capacity < ring_capacity_min ||
      options.capacity > ring_capacity_max) {
    return unfit(spec, "capacity " + std::to_string(options.capacity) +
                           " is not a power of two of 4 KiB to 1 TiB");
  }
  if (options.max_message > payload_bytes_max(options.capacity) ||
      options.max_message > std::numeric_limits<std::uint32_t>::max()) {
    return unfit(spec, "max_message " + std::to_string(options.max_message) + " is more than " +
                           std::to_string(payload_bytes_max(options.capacity)) +
                           ", what a capacity of " + std::to_string(options.capacity) +
                           " can carry");
  }
  const auto succession = take_over(spec);
  if (!succession) return succession.error();
  auto segment = Segment::create({.name = spec.link,
                                  .epoch = spec.epoch,
                                  .ring_capacity = options.capacity,
                                  .slab_bytes = options.capacity,
                                  .base_index = succession->base_index,
                                  .survives_fork = spec.survives_fork});
  if (!segment) return segment.error();
  return Endpoint::share(
      std::make_unique<ShmEndpoint>(std::move(spec), std::move(*segment), succession->resume));
}

Result<SocketEnds> make_doorbells() {
  SocketEnds ends;
  for (int bells = 0; bells < 2; ++bells) {
    auto pair = base::make_socketpair(SOCK_STREAM);
    if (!pair) return pair.error();
    ends.from.push_back(std::move(pair->first));
    ends.to.push_back(std::move(pair->second));
  }
  return ends;
}

}  // namespace bulkhead::ipc
