#include "workers/outbox.hpp"

#include <algorithm>
#include <utility>

#include "ipc/control_packet.hpp"

namespace bulkhead::workers {
namespace {

std::vector<int> borrow(const std::vector<base::UniqueFd>& fds) {
  std::vector<int> numbers;
  for (const auto& fd : fds) numbers.push_back(fd.get());
  return numbers;
}

}  // namespace

Result<void> Outbox::send(int socket, nlohmann::json message, std::span<const int> fds) {
  return send_or_queue(socket, std::move(message), fds, false);
}

Result<void> Outbox::send_latest(int socket, nlohmann::json message) {
  const auto same = std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& waiting) {
    return waiting.replaceable &&
           waiting.message.value("method", "") == message.value("method", "");
  });
  if (same != waiting_.end()) {
    same->message = std::move(message);
    return flush(socket);
  }
  return send_or_queue(socket, std::move(message), {}, true);
}

Result<void> Outbox::flush(int socket) {
  while (!waiting_.empty()) {
    const auto& first = waiting_.front();
    const auto sent = ipc::send_packet(socket, first.message, borrow(first.fds));
    if (!sent && sent.error().is(Errc::would_block)) return {};
    waiting_.pop_front();  // a packet that cannot be sent must not hold up the others
    if (!sent) return sent.error();
  }
  return {};
}

Result<void> Outbox::send_or_queue(int socket, nlohmann::json message, std::span<const int> fds,
                                   bool replaceable) {
  if (auto flushed = flush(socket); !flushed) return flushed.error();
  if (waiting_.empty()) {
    auto sent = ipc::send_packet(socket, message, fds);
    if (sent || !sent.error().is(Errc::would_block)) return sent;
  }
  Waiting waiting{std::move(message), {}, replaceable};
  for (const int fd : fds) {
    auto copy = base::duplicate(fd);
    if (!copy) return copy.error();
    waiting.fds.push_back(std::move(*copy));
  }
  waiting_.push_back(std::move(waiting));
  return {};
}

}  // namespace bulkhead::workers
