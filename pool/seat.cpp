#include "pool/seat.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/child_process.hpp"
#include "ipc/crash_page.hpp"
#include "ipc/endpoint.hpp"
#include "pool/channel_end.hpp"

namespace bulkhead::pool {
namespace {

Result<base::UniqueFd> make_file(const char* name, std::size_t bytes) {
  auto file = base::make_memfd(name, true);
  if (!file) return file.error();
  if (::ftruncate(file->get(), static_cast<off_t>(bytes)) != 0 ||
      ::fcntl(file->get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return errno_error(errno, std::string("make the memory of a pool's ") + name);
  }
  return file;
}

}  // namespace

void ResultAttachments::add(Arrival arrival) {
  const std::lock_guard lock(mutex_);
  arrived_[arrival.number] = std::move(arrival.fd);
}

Result<int> ResultAttachments::take(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  const auto found = arrived_.find(number);
  if (found == arrived_.end()) return make_error(Errc::protocol_violation, "no such attachment");
  auto copy = base::duplicate(found->second.get());
  if (!copy) return copy.error();
  return copy->release();
}

std::shared_ptr<void>& ResultAttachments::kept(std::uint64_t number, bool writable) {
  const std::lock_guard lock(mutex_);
  return kept_[{number, writable}];
}

Result<void> Seat::begin(Zygote& zygote, std::uint64_t birth, const BirthOrder& order) {
  auto endpoint = open_channel_end(ipc::Side::from);
  if (!endpoint) return endpoint.error();
  auto bells = ipc::make_sockets(Transport::shm);
  if (!bells) return bells.error();
  auto side = base::make_socketpair(SOCK_SEQPACKET);
  if (!side) return side.error();
  auto page = make_file("seat", seat_page_bytes);
  if (!page) return page.error();
  auto crash = make_file("crash", ipc::crash_page_bytes);
  if (!crash) return crash.error();
  auto region = base::MappedRegion::map(page->get(), seat_page_bytes, base::Access::read_write);
  if (!region) return region.error();
  std::array<int, worker_fds> fds{};
  fds[side_fd] = side->second.get();
  fds[page_fd] = page->get();
  fds[crash_fd] = crash->get();
  fds[segment_fd] = (*endpoint)->segment_fd();
  fds[message_bell_fd] = bells->to[0].get();
  fds[space_bell_fd] = bells->to[1].get();
  if (auto sent = zygote.order(order, fds); !sent) return sent;
  (*endpoint)->post({ipc::LinkUpdate::Kind::sockets, 1, std::move(bells->from)});
  birth_ = birth;
  endpoint_ = std::move(*endpoint);
  side_ = std::move(side->first);
  crash_ = std::move(*crash);
  page_ = std::move(*region);
  state = State::born;
  return {};
}

void Seat::set_process(int pid, base::UniqueFd pidfd) noexcept {
  pid_ = pid;
  pidfd_ = std::move(pidfd);
}

Result<bool> Seat::open_channel() {
  auto arrival = take_attachment(side_.get(), false);
  if (!arrival) return arrival.error();
  if (!*arrival) return false;
  ipc::LinkUpdate memory{ipc::LinkUpdate::Kind::peer_segment, 1, {}};
  memory.fds.push_back(std::move((*arrival)->fd));
  endpoint_->post(std::move(memory));
  return true;
}

void Seat::clear() noexcept {
  incoming_.reset();
  large_body_.reset();
  if (endpoint_) endpoint_->close();
  endpoint_.reset();
  pidfd_.reset();
  side_.reset();
  crash_.reset();
  page_ = {};
  pid_ = 0;
  birth_ = 0;
  offered_ = {};
  ahead_ = 0;
  tasks_done = 0;
  armed_ = false;
  ending.reset();
  task_deadline.reset();
  stopped_since.reset();
  state = State::empty;
}

Result<void> Seat::send(const Order& order, std::span<const std::byte> body,
                        std::span<const detail::Attachment> attachments) {
  Order head = order;
  std::optional<SealedBuffer> sealed;
  if (body.size() > inline_body_max) {
    auto buffer = SealedBuffer::copy_of("task", body);
    if (!buffer) return buffer.error();
    sealed = std::move(*buffer);
    head.body = detail::next_attachment_number();
  }
  for (const auto& attachment : attachments) {
    if (auto sent = send_ahead(attachment.number, attachment.fd); !sent) return sent;
  }
  if (sealed) {
    if (auto sent = send_ahead(head.body, sealed->fd()); !sent) return sent;
    body = {};
  }
  auto sent = send_order(head, body);
  if (!sent) discard_ahead();
  return sent;
}

Result<void> Seat::send_ahead(std::uint64_t number, int fd) {
  auto sent = send_attachment(side_.get(), number, fd, false);
  if (sent) {
    ++ahead_;
  } else {
    discard_ahead();
  }
  return sent;
}

// What its order did not follow would be taken for that of the next one. Where this cannot be sent either, the next order
// counts them in.
void Seat::discard_ahead() {
  Order discard;
  discard.kind = Order::Kind::discard;
  if (ahead_ != 0) (void)send_order(discard, {});
}

Result<void> Seat::send_order(Order head, std::span<const std::byte> body) {
  head.attachments = ahead_;
  outgoing_.resize(sizeof head + body.size());
  std::memcpy(outgoing_.data(), &head, sizeof head);
  if (!body.empty()) std::memcpy(outgoing_.data() + sizeof head, body.data(), body.size());
  auto sent = endpoint_->send(outgoing_, Deadline::now());
  if (sent) ahead_ = 0;
  return sent;
}

std::optional<std::uint32_t> Seat::offer(std::uint64_t task) noexcept {
  const auto free = std::find(offered_.begin(), offered_.end(), std::uint64_t{0});
  if (free == offered_.end()) return std::nullopt;
  *free = task;
  const auto place = static_cast<std::uint32_t>(free - offered_.begin());
  // relaxed: the order that goes over the channel publishes it.
  page()->offers[place].store(task, std::memory_order_relaxed);
  return place;
}

bool Seat::take_back(std::uint64_t task) noexcept {
  const auto at = std::find(offered_.begin(), offered_.end(), task);
  if (at == offered_.end() || page_.data() == nullptr) return false;
  std::uint64_t number = task;
  // relaxed: the word alone decides.
  const bool ours =
      page()->offers[static_cast<std::size_t>(at - offered_.begin())].compare_exchange_strong(
          number, 0, std::memory_order_relaxed);
  if (ours) *at = 0;
  return ours;
}

void Seat::forget_offer(std::uint64_t task) noexcept {
  std::replace(offered_.begin(), offered_.end(), task, std::uint64_t{0});
}

// What the worker wrote is looked at once and checked; one that breaks the rules is a dead one soon.
std::optional<Seat::Incoming> Seat::receive() {
  incoming_.reset();
  large_body_.reset();
  if (!endpoint_) return std::nullopt;
  auto message = endpoint_->receive(Deadline::now());
  if (!message) {
    if (message.error().is(Errc::protocol_violation)) signal(SIGKILL);
    return std::nullopt;
  }
  incoming_.emplace(std::move(*message));
  const auto parts = split<Report>(incoming_->bytes());
  if (!parts) {
    signal(SIGKILL);
    return std::nullopt;
  }
  Incoming incoming{parts->first, parts->second, nullptr};
  if (incoming.report.attachments == 0) return incoming;
  incoming.attachments = std::make_shared<ResultAttachments>();
  for (std::uint64_t i = 0; i < incoming.report.attachments; ++i) {
    auto arrival = take_attachment(side_.get(), false);
    if (!arrival || !*arrival) {
      signal(SIGKILL);
      return std::nullopt;
    }
    incoming.attachments->add(std::move(**arrival));
  }
  if (incoming.report.body != 0) {
    const auto fd = incoming.attachments->take(incoming.report.body);
    const auto buffer = fd ? SealedBuffer::open(base::UniqueFd(*fd).get()) : fd.error();
    if (!buffer) {
      signal(SIGKILL);
      return std::nullopt;
    }
    large_body_ = std::move(*buffer);
    incoming.body = large_body_->bytes();
  }
  return incoming;
}

void Seat::mourn() {
  if (!endpoint_) return;
  endpoint_->post({ipc::LinkUpdate::Kind::peer_died, 1, {}});
}

void Seat::await_death() noexcept {
  constexpr int patience_ms =
      5'000;  // the signal is on its way; a process in an uninterruptible wait keeps its own time
  pollfd dead{pidfd_.get(), POLLIN, 0};
  if (pidfd_.is_open()) ::poll(&dead, 1, patience_ms);
}

bool Seat::arm() {
  if (armed_ || !endpoint_) return false;
  if (endpoint_->prepare_receive_wait()) return true;
  armed_ = true;
  return false;
}

void Seat::disarm() noexcept {
  if (!armed_) return;
  armed_ = false;
  endpoint_->finish_receive_wait();
}

int Seat::doorbell() const noexcept { return endpoint_ ? endpoint_->receive_plan().fd : -1; }

void Seat::ask_to_stop(std::uint64_t task, std::uint64_t item) noexcept {
  if (page_.data() == nullptr) return;
  // relaxed: published by the store behind it.
  page()->stop_item.store(item, std::memory_order_relaxed);
  // sync seat.stop: release; pairs with stop_is_requested(); nothing else is published
  page()->stop.store(task, std::memory_order_release);
}

// To its group: what it has started ends with it. The group is as old as the worker; the pidfd says that it lives.
void Seat::signal(int number) noexcept {
  if (!pidfd_.is_open() || !base::send_signal(pidfd_.get(), number)) return;
  ::kill(-pid_, number);
}

std::uint64_t Seat::running() const noexcept {
  // relaxed: after the death, or only to guess.
  return page_.data() != nullptr ? page()->running.load(std::memory_order_relaxed) : 0;
}

Bytes Seat::crash_report() const {
  Bytes report(sizeof(ipc::CrashPage));
  if (::pread(crash_.get(), report.data(), report.size(), 0) !=
      static_cast<ssize_t>(report.size())) {
    return {};
  }
  return report;
}

}  // namespace bulkhead::pool
