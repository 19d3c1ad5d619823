#include "supervisor/control_port.hpp"

#include <chrono>
#include <utility>

namespace bulkhead::supervisor {
namespace {

constexpr std::size_t waiting_packets_max = 4096;  // 4 links x 8 incarnations x 128 instances
// What one peer may cost the loop at a time, in packets and in time, and one packet in bytes: each is
// parsed here, between two beats of the brain. A resync answer of a worker with the most sessions that
// it may have is far below it.
constexpr int packets_per_turn = 64;
constexpr std::chrono::milliseconds turn{2};
constexpr std::size_t body_bytes_max = std::size_t{1} << 20;
constexpr int drained_packets_max = 65536;  // more than a socket's buffer can hold

}  // namespace

ControlPort::ControlPort(boost::asio::io_context& io, base::UniqueFd socket, Callbacks callbacks)
    : socket_(io, socket.release()), callbacks_(std::move(callbacks)) {
  await_packets();
}

ControlPort::~ControlPort() { *guard_ = false; }

// A peer that does not read its answers is not asked for more questions.
void ControlPort::await_packets() {
  is_reading_ = waiting_.empty();
  if (!is_reading_) return;
  socket_.async_wait(socket_.wait_read, [this, guard = guard_](const auto& error) {
    if (error || !*guard || !alive_) return;
    take_packets(packets_per_turn, Deadline::in(turn));
    if (*guard && alive_) await_packets();
  });
}

void ControlPort::drain() { take_packets(drained_packets_max, Deadline::never()); }

void ControlPort::take_packets(int at_most, Deadline deadline) {
  const auto guard = guard_;
  for (int i = 0; i < at_most && *guard && alive_; ++i) {
    if (i > 0 && deadline.expired()) return;
    auto packet = ipc::receive_packet(socket_.native_handle(), body_bytes_max);
    if (!packet) return fail(packet.error());
    if (!*packet) return;
    callbacks_.packet(std::move(**packet));
  }
}

void ControlPort::send(const ipc::Json& body, std::span<const int> fds) {
  if (!alive_) return;
  if (waiting_.empty()) {
    const auto sent = ipc::send_packet(socket_.native_handle(), body, fds);
    if (sent) return callbacks_.sent();
    if (!sent.error().is(Errc::would_block)) return fail(sent.error());
  }
  if (waiting_.size() >= waiting_packets_max) {
    return fail(make_error(Errc::out_of_budget, "the peer does not read its control socket"));
  }
  Waiting waiting{body, {}};
  for (const int fd : fds) {
    auto copy = base::duplicate(fd);
    if (!copy) return fail(copy.error());
    waiting.fds.push_back(std::move(*copy));
  }
  waiting_.push_back(std::move(waiting));
  if (waiting_.size() == 1) await_room();
}

void ControlPort::await_room() {
  socket_.async_wait(socket_.wait_write, [this, guard = guard_](const auto& error) {
    if (error || !*guard || !alive_) return;
    flush();
  });
}

void ControlPort::flush() {
  while (!waiting_.empty()) {
    std::vector<int> fds;
    for (const auto& fd : waiting_.front().fds) fds.push_back(fd.get());
    const auto sent = ipc::send_packet(socket_.native_handle(), waiting_.front().body, fds);
    if (!sent && sent.error().is(Errc::would_block)) return await_room();
    if (!sent) return fail(sent.error());
    waiting_.pop_front();
    callbacks_.sent();
  }
  if (!is_reading_) await_packets();
}

void ControlPort::fail(const Error& error) {
  if (!std::exchange(alive_, false)) return;
  waiting_.clear();
  socket_.close();
  callbacks_.closed(error);
}

}  // namespace bulkhead::supervisor
