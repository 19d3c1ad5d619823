// One thread, of the user's: nothing of ours runs beside a task.
//
// | tag       | writer           | reader              | visible after it            | killed in between        |
// |-----------|------------------|---------------------|-----------------------------|--------------------------|
// | seat.stop | owner            | the task            | nothing but the wish itself | the owner kills it       |
#include "pool/worker_process.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <utility>

#include "base/mapped_region.hpp"
#include "ipc/endpoint.hpp"
#include "pool/channel_end.hpp"
#include "pool/packet.hpp"
#include "pool/shared_memory.hpp"
#include "pool/task_registry.hpp"
#include "pool/task_wire.hpp"
#include "pool/zygote_wire.hpp"
#include "workers/crash_reporter.hpp"

namespace bulkhead::pool {
namespace {

// Of this process, if it is a worker.
SeatPage* seat_page = nullptr;
std::uint64_t current_task = 0;
const std::atomic<std::uint64_t>* current_item = nullptr;  // of the range, item + 1; null: a call

class TaskWorker final : public detail::AttachmentSource, public detail::RangeHost {
 public:
  TaskWorker(Channel channel, base::UniqueFd side, base::MappedRegion page)
      : channel_(std::move(channel)), side_(std::move(side)), page_(std::move(page)) {
    seat_page = reinterpret_cast<SeatPage*>(page_.data());
  }

  // Returns when it is told to, or when its owner is no more.
  void live() {
    for (;;) {
      const auto message = channel_.receive();
      if (!message) return;
      const auto order = split<Order>(message->bytes());
      if (!order || order->first.kind == Order::Kind::retire) return;
      obey(order->first, order->second);
    }
  }

  Result<int> take(std::uint64_t number) override {
    const auto found = arrived_.find(number);
    if (found == arrived_.end()) return make_error(Errc::protocol_violation, "no such attachment");
    auto copy = base::duplicate(found->second.get());
    if (!copy) return copy.error();
    return copy->release();
  }
  std::shared_ptr<void>& kept(std::uint64_t number, bool writable) override {
    return kept_[{number, writable}];
  }

  void deliver(std::uint32_t item, const detail::BodyWriter& result) override {
    report({Report::Kind::item_value, item, task_}, result);
  }
  bool is_stopped() override { return stop_is_requested(); }
  void fail(std::uint32_t item) override {
    report({Report::Kind::item_failure, item, task_}, pack_current_exception());
  }

 private:
  // Whether the call is ours, and was not taken back.
  static bool take_up(const Order& order) noexcept {
    if (order.offer >= offers_max) return true;
    std::uint64_t number = order.task;
    // relaxed: the word alone decides; the order itself came over the channel.
    return seat_page->offers[order.offer].compare_exchange_strong(number, 0,
                                                                  std::memory_order_relaxed);
  }

  void obey(const Order& order, std::span<const std::byte> inline_body) {
    try {
      take_arrivals(order.attachments);
      if (order.kind == Order::Kind::discard || !take_up(order)) return arrived_.clear();
      task_ = order.task;
      current_task = order.task;
      // Stays until the next: who dies between two tasks is running one that has been reported.
      // relaxed: read after our death.
      seat_page->running.store(order.task, std::memory_order_relaxed);
      base::MappedRegion region;
      if (order.body != 0) region = body_in_memory(order.body);
      const std::span<const std::byte> body =
          order.body != 0 ? std::span<const std::byte>(region.data(), region.size()) : inline_body;
      run(order, body);
    } catch (...) {
      current_item = nullptr;
      report({Report::Kind::failure, 0, task_}, pack_current_exception());
    }
    arrived_.clear();
    constexpr std::size_t kept_max = 64;  // mappings that may be asked for again
    if (kept_.size() > kept_max) kept_.clear();
  }
  void take_arrivals(std::uint32_t count) {
    for (; count != 0; --count) {
      auto arrival = take_attachment(side_.get(), true);  // it was sent before what names it
      if (!arrival) throw detail::TaskError{arrival.error()};
      arrived_[(*arrival)->number] = std::move((*arrival)->fd);
    }
  }

  void run(const Order& order, std::span<const std::byte> body) {
    const auto* const function = find_task(order.function);
    detail::BodyReader from(body, this);
    if (order.kind == Order::Kind::range) {
      if (function == nullptr || function->range == nullptr) unknown(order.function);
      auto memory = ledger(order.ledger);
      detail::ClaimSeat seat(*reinterpret_cast<detail::ClaimLedger*>(memory->bytes().data()),
                             order.slot, order.open != 0);
      detail::RangeCall call{seat, from, *this};
      current_item = &seat.ledger().slot(order.slot)->current;
      function->range(call);
      current_item = nullptr;
      return report({Report::Kind::range_end, 0, task_}, Bytes());
    }
    if (function == nullptr || function->call == nullptr) unknown(order.function);
    detail::BodyWriter result;
    function->call(from, result);
    report({Report::Kind::value, 0, task_}, result);
  }
  [[noreturn]] static void unknown(std::uint32_t number) {
    throw detail::TaskError{
        make_error(Errc::method_not_found, "this program has no task " + std::to_string(number))};
  }
  static void or_throw(const Result<void>& done) {
    if (!done) throw detail::TaskError{done.error()};
  }

  base::MappedRegion body_in_memory(std::uint64_t number) {
    const auto fd = take(number);
    if (!fd) throw detail::TaskError{fd.error()};
    const base::UniqueFd owned(*fd);
    auto size = base::file_size(owned.get());
    if (!size) throw detail::TaskError{size.error()};
    auto region = base::MappedRegion::map(owned.get(), *size, base::Access::sealed);
    if (!region) throw detail::TaskError{region.error()};
    return std::move(*region);
  }
  std::shared_ptr<detail::SharedMemory> ledger(std::uint64_t number) {
    const auto fd = take(number);
    if (!fd) throw detail::TaskError{fd.error()};
    auto memory = detail::SharedMemory::open(number, base::UniqueFd(*fd), true);
    if (!memory) throw detail::TaskError{memory.error()};
    return std::move(*memory);
  }

  void send_along(const detail::Attachment& attachment) {
    or_throw(send_attachment(side_.get(), attachment.number, attachment.fd, true));
  }

  void report(Report head, const detail::BodyWriter& result) {
    or_throw(check_attachments(result.attachments().size()));
    for (const auto& attachment : result.attachments()) send_along(attachment);
    head.attachments = result.attachments().size();
    report(head, result.bytes());
  }
  void report(Report head, std::span<const std::byte> body) {
    if (body.size() > inline_body_max) {
      const auto buffer = SealedBuffer::copy_of("result", body);
      if (!buffer) throw detail::TaskError{buffer.error()};
      head.body = detail::next_attachment_number();
      ++head.attachments;
      send_along({head.body, buffer->fd(), nullptr});
      body = {};
    }
    // Who prints in a task sees it, however the worker ends.
    if (head.kind != Report::Kind::item_value) std::fflush(stdout);
    outgoing_.resize(sizeof head + body.size());
    std::memcpy(outgoing_.data(), &head, sizeof head);
    if (!body.empty()) std::memcpy(outgoing_.data() + sizeof head, body.data(), body.size());
    // An owner that is no more ends us; there is nobody to tell.
    if (!channel_.send(outgoing_)) ::_exit(1);
  }

  Channel channel_;
  base::UniqueFd side_;
  base::MappedRegion page_;
  std::map<std::uint64_t, base::UniqueFd> arrived_;
  std::map<std::pair<std::uint64_t, bool>, std::shared_ptr<void>> kept_;
  Bytes outgoing_;
  std::uint64_t task_ = 0;
};

// The owner's segment and bells come with the descriptors, ours goes to it.
Result<Channel> open_channel(std::vector<base::UniqueFd>& fds) {
  auto endpoint = open_channel_end(ipc::Side::to);
  if (!endpoint) return endpoint.error();
  ipc::LinkUpdate memory{ipc::LinkUpdate::Kind::peer_segment, 1, {}};
  memory.fds.push_back(std::move(fds[segment_fd]));
  (*endpoint)->post(std::move(memory));
  ipc::LinkUpdate bells{ipc::LinkUpdate::Kind::sockets, 1, {}};
  bells.fds.push_back(std::move(fds[message_bell_fd]));
  bells.fds.push_back(std::move(fds[space_bell_fd]));
  (*endpoint)->post(std::move(bells));
  if (auto sent = send_attachment(fds[side_fd].get(), 0, (*endpoint)->segment_fd(), true); !sent) {
    return sent.error();
  }
  return Channel(std::move(*endpoint));
}

Result<void> live_on(std::vector<base::UniqueFd> fds) {
  if (fds.size() != worker_fds) {
    return make_error(Errc::invalid_argument,
                      "a pool's worker is started by its pool, never by hand");
  }
  auto page =
      base::MappedRegion::map(fds[page_fd].get(), seat_page_bytes, base::Access::read_write);
  if (!page) return page.error();
  if (auto begun = workers::begin_crash_reports(std::move(fds[crash_fd]), 1); !begun) return begun;
  auto channel = open_channel(fds);
  if (!channel) return channel.error();
  TaskWorker(std::move(*channel), std::move(fds[side_fd]), std::move(*page)).live();
  return {};
}

}  // namespace

void live_as_worker(std::vector<base::UniqueFd> fds, std::uint64_t memory_max) {
  ::prctl(PR_SET_NAME, "pool-worker");
  std::set_terminate(&workers::tell_uncaught_and_abort);
  if (memory_max != 0) {
    const rlimit limit{memory_max, memory_max};
    ::setrlimit(RLIMIT_AS, &limit);
  }
  const auto lived = live_on(std::move(fds));
  if (!lived) std::fprintf(stderr, "bulkhead pool: %s\n", lived.error().to_string().c_str());
  std::fflush(nullptr);
  ::_exit(lived ? 0 : 1);
}

bool is_in_worker() noexcept { return seat_page != nullptr; }

bool stop_is_requested() noexcept {
  // sync seat.stop: acquire; pairs with Seat::ask_to_stop(); nothing else is published
  if (seat_page == nullptr || current_task == 0 ||
      seat_page->stop.load(std::memory_order_acquire) != current_task)
    return false;
  // relaxed: both are of this moment; the stop before them says whose they are.
  const std::uint64_t item = seat_page->stop_item.load(std::memory_order_relaxed);
  // relaxed: as above.
  return item == 0 ||
         (current_item != nullptr && current_item->load(std::memory_order_relaxed) == item);
}

}  // namespace bulkhead::pool
