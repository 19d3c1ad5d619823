#include "workers/control_link.hpp"

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <utility>

#include "ipc/control_packet.hpp"
#include "workers/poll_until.hpp"

namespace bulkhead::workers {
namespace {

// Shown until the brain's page is there; nobody sleeps on it.
constinit const std::atomic<std::uint32_t> no_word{0};

// The keeper holds the other end for as long as it lives, so this is no matter of a brain's restart.
[[noreturn]] void leave_at_once(const Error& error) noexcept {
  const auto text = error.is(Errc::closed)
                        ? std::string("the supervisor is gone, so this worker ends")
                        : "the control connection is unusable: " + error.to_string();
  std::fprintf(stderr, "bulkhead: %s\n", text.c_str());
  ::_exit(1);
}

}  // namespace

void ControlLink::complain(const Error& error) noexcept {
  std::fprintf(stderr, "bulkhead: control link: %s\n", error.to_string().c_str());
}

ControlLink::ControlLink(base::UniqueFd socket, std::uint32_t generation, Heart heart)
    : socket_(std::move(socket)), generation_(generation), heart_(std::move(heart)) {}

Result<std::shared_ptr<ControlLink>> ControlLink::open(base::UniqueFd socket,
                                                       std::uint32_t generation) {
  auto heart = Heart::open(generation);
  if (!heart) return heart.error();
  std::shared_ptr<ControlLink> link(
      new ControlLink(std::move(socket), generation, std::move(*heart)));
  auto sleepers = Sleepers::open(link->socket_.get());
  if (!sleepers) return sleepers.error();
  link->sleepers_ = std::move(*sleepers);
  return link;
}

Result<ipc::HelloAnswer> ControlLink::greet(Deadline deadline) {
  {
    const std::scoped_lock lock(mutex_);
    say_hello();
  }
  auto answered = wait(deadline, [&] {
    return failure_ || (hello_ && pairs_.link_count() >= hello_->links && pairs_.all_kept());
  });
  if (!answered) return answered.error();
  const std::scoped_lock lock(mutex_);
  if (failure_) return *failure_;
  heart_.started();
  return *hello_;
}

void ControlLink::say_hello() {
  ipc::HelloWorker hello;
  hello.generation = generation_;
  hello_request_ = begin_request(ipc::method::hello, ipc::encode(hello), {heart_.page_fd()});
}

const std::atomic<std::uint32_t>& ControlLink::word() const noexcept {
  const auto* const page = reinterpret_cast<const ipc::AttentionPage*>(attention_page_.data());
  return page == nullptr ? no_word : page->word;
}

void ControlLink::service() noexcept {
  bool news = sleepers_->take_signal();
  {
    const std::scoped_lock lock(mutex_);
    if (news) raise_stop();
    // relaxed: says only that a look at the socket is worth while; the kernel orders the packets
    seen_word_.store(word().load(std::memory_order_relaxed), std::memory_order_relaxed);
    for (;;) {
      auto packet = ipc::receive_packet(socket_.get());
      if (!packet) leave_at_once(packet.error());
      if (!packet->has_value()) break;
      news = true;
      take(std::move(**packet));
    }
    after(outbox_.flush(socket_.get()), "a waiting packet");
    sleepers_->watch_writable(!outbox_.empty());
  }
  if (news) sleepers_->changed();
  sleepers_->looked();
}

void ControlLink::sleeping(bool asleep) noexcept {
  if (asleep) {
    sleepers_->enter();
    heart_.sleeping(true);
  } else {
    heart_.sleeping(false);
    sleepers_->leave();
  }
}

void ControlLink::glance() noexcept {
  beat();
  // relaxed: as in service()
  if (word().load(std::memory_order_relaxed) != seen_word_.load(std::memory_order_relaxed)) {
    service();
  }
}

void ControlLink::stop_from_signal() noexcept {
  stop_.raise();
  sleepers_->ring_from_signal();
}

Result<void> ControlLink::wait(Deadline deadline, const std::function<bool()>& done) {
  for (;;) {
    service();
    {
      const std::scoped_lock lock(mutex_);
      if (done()) return {};
    }
    if (deadline.stopped()) return make_error(Errc::stopped, "waiting for the supervisor");
    if (deadline.expired()) return make_error(Errc::timed_out, "waiting for the supervisor");
    sleeping(true);
    pollfd entry = {fd(), POLLIN, 0};
    poll_until({&entry, 1}, deadline);
    sleeping(false);
  }
}

void ControlLink::tell_ready() {
  glance();
  const std::scoped_lock lock(mutex_);
  if (phase_ != ipc::WorkerPhase::starting) return;
  phase_ = ipc::WorkerPhase::ready;
  send(ipc::notification(ipc::method::ready, ipc::encode(ipc::Ready{generation_})));
}

void ControlLink::tell_status(std::string_view text) {
  glance();
  const std::scoped_lock lock(mutex_);
  status_ = std::string(text);
  send_status();
}

void ControlLink::tell_closed(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  auto* const pair = pairs_.find(name);
  if (pair == nullptr) return;
  pair->closed = true;
  send_closed(*pair);
}

void ControlLink::tell_cut(const std::string& name, std::uint16_t peer_epoch) {
  const std::scoped_lock lock(mutex_);
  auto* const pair = pairs_.find(name);
  if (pair == nullptr) return;
  pair->cut_from = peer_epoch;
  send_cut(*pair);
}

Result<std::vector<Channel>> ControlLink::take_link(std::string_view link, HowMany how_many) {
  glance();
  const std::scoped_lock lock(mutex_);
  const auto pairs =
      pairs_.take_link(link, PairTable::LinkType::channel, how_many == HowMany::one ? 1 : SIZE_MAX);
  if (!pairs) return pairs.error();
  std::vector<Channel> channels;
  for (const auto* const pair : *pairs) channels.emplace_back(pair->endpoint);
  return channels;
}

Result<Topic> ControlLink::take_topic(std::string_view link) {
  glance();
  const std::scoped_lock lock(mutex_);
  const auto pairs = pairs_.take_link(link, PairTable::LinkType::topic, SIZE_MAX);
  if (!pairs) return pairs.error();
  std::vector<std::shared_ptr<ipc::Endpoint>> endpoints;
  for (const auto* const pair : *pairs) endpoints.push_back(pair->endpoint);
  return Topic(std::move(endpoints));
}

void ControlLink::close() noexcept {
  PairTable gone;
  const std::scoped_lock lock(mutex_);
  std::swap(gone, pairs_);
}

void ControlLink::send(ipc::Json message, std::span<const int> fds) {
  const std::string method = message.value("method", "an answer");
  after(outbox_.send(socket_.get(), std::move(message), fds), method);
  sleepers_->watch_writable(!outbox_.empty());
}

void ControlLink::send_status() {
  after(outbox_.send_latest(socket_.get(),
                            ipc::notification(ipc::method::status, {{"text", *status_}})),
        ipc::method::status);
  sleepers_->watch_writable(!outbox_.empty());
}

// The end of the connection is told once, by the next receive.
void ControlLink::after(const Result<void>& sent, std::string_view what) {
  if (sent || sent.error().is(Errc::closed)) return;
  Error error = sent.error();
  error.context = "sending " + std::string(what) + ": " + error.context;
  complain(error);
}

void ControlLink::raise_stop() noexcept {
  phase_ = ipc::WorkerPhase::stopping;
  stop_.raise();
}

}  // namespace bulkhead::workers
