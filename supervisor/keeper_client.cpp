#include "supervisor/keeper_client.hpp"

#include <linux/close_range.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

// The table of sync points stands in keeper_layout.hpp.
namespace bulkhead::supervisor {
namespace {

using keeper_layout::EntryState;
using keeper_layout::Operation;
using keeper_layout::Reply;
using keeper_layout::ReplyKind;
using keeper_layout::Request;

Error keeper_gone() { return make_error(Errc::closed, "the keeper is gone"); }

Result<Request> make_request(Operation operation, std::string_view tag) {
  if (tag.empty() || tag.size() > keeper_layout::tag_bytes_max) {
    return make_error(Errc::invalid_argument, "a tag of the keeper's store has 1 to " +
                                                  std::to_string(keeper_layout::tag_bytes_max) +
                                                  " bytes: " + std::string(tag));
  }
  Request request{};
  request.operation = operation;
  request.tag_bytes = static_cast<std::uint8_t>(tag.size());
  std::memcpy(request.tag, tag.data(), tag.size());
  return request;
}

// MSG_DONTWAIT or 0. False with errno set.
bool send_request(int socket, const Request& request, int fd, int flags) noexcept {
  iovec bytes{const_cast<Request*>(&request), sizeof request};  // sendmsg(2) does not write to it
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  for (;;) {
    if (::sendmsg(socket, &message, flags | MSG_NOSIGNAL) >= 0) return true;
    if (errno != EINTR) return false;
  }
}

}  // namespace

Result<KeeperClient> KeeperClient::adopt(int keeper_page_fd, int socket_fd) {
  KeeperClient client;
  const base::UniqueFd page_fd{keeper_page_fd};
  client.socket_.reset(socket_fd);
  // The keeper execs an open file, which older kernels show as a process called "7".
  (void)::prctl(PR_SET_NAME, program_invocation_short_name, 0, 0, 0);
  // What is inherited lost close-on-exec on the way here.
  if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
    return errno_error(errno, "make inherited descriptors close-on-exec");
  }
  if (auto made = client.make_bell(); !made) return made.error();
  const auto size = base::file_size(page_fd.get());
  if (!size) return size.error();
  if (*size < keeper_layout::store_offset) {
    return make_error(Errc::version_mismatch, "the keeper's page is too small");
  }
  auto page = base::MappedRegion::map(page_fd.get(), *size, base::Access::read_only);
  if (!page) return page.error();
  client.page_ = std::move(*page);
  const auto& header = client.header();
  if (header.magic != keeper_layout::magic || header.version != keeper_layout::version ||
      *size != keeper_layout::page_bytes(header.store_entries, header.exit_entries)) {
    return make_error(Errc::version_mismatch, "the keeper is of another version than this brain");
  }
  // sync keeper.exits: acquire; pairs with release in the keeper; shows what may be overwritten
  client.next_exit_ = header.exits_acknowledged.load(std::memory_order_acquire);
  client.settled_ = client.acknowledged_ = client.next_exit_;
  client.inherit_store();
  return client;
}

Result<void> KeeperClient::make_bell() {
  swallowed_bell_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  bell_.reset(::epoll_create1(EPOLL_CLOEXEC));
  for (const int fd : {socket_.get(), swallowed_bell_.get()}) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(bell_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      return errno_error(errno, "make the bell of the keeper");
    }
  }
  return {};
}

const keeper_layout::Header& KeeperClient::header() const noexcept {
  return *reinterpret_cast<const keeper_layout::Header*>(page_.data());
}

// Only at the start: later entries name descriptors of the keeper that we did not inherit.
void KeeperClient::inherit_store() {
  const auto* entries = reinterpret_cast<const keeper_layout::StoreEntry*>(
      page_.data() + keeper_layout::store_offset);
  // sync keeper.store: acquire; pairs with release in the keeper; shows the entries below it
  const auto count = header().store_high_water.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count; ++i) {
    // sync keeper.store: acquire; pairs with release in the keeper; shows fd and tag
    if (entries[i].state.load(std::memory_order_acquire) != EntryState::used) continue;
    inherited_[std::string(entries[i].tag, entries[i].tag_bytes)] = {base::UniqueFd{entries[i].fd},
                                                                     entries[i].order};
  }
}

Result<void> KeeperClient::put(std::string_view tag, int fd) {
  auto request = make_request(Operation::put, tag);
  if (!request) return request.error();
  return ask(*request, fd);
}

Result<void> KeeperClient::drop(std::string_view tag) {
  auto request = make_request(Operation::drop, tag);
  if (!request) return request.error();
  auto done = ask(*request, -1);
  if (!done) return done;
  if (const auto found = inherited_.find(tag); found != inherited_.end()) inherited_.erase(found);
  return {};
}

bool KeeperClient::is_heard() const noexcept { return header().is_heard != 0; }

Result<void> KeeperClient::say(std::string_view message) {
  auto request = make_request(Operation::say, message);
  if (!request) return request.error();
  return ask(*request, -1);
}

Result<void> KeeperClient::stop(int exit_code) {
  Request request{};
  request.operation = Operation::stop;
  request.value = static_cast<std::uint64_t>(exit_code);
  return ask(request, -1);
}

Result<void> KeeperClient::ask(Request& request, int fd) {
  send_acknowledgement();
  request.sequence = next_sequence_++;
  if (!send_request(socket_.get(), request, fd, 0)) {
    if (errno == EPIPE || errno == ECONNRESET) return keeper_gone();
    return errno_error(errno, "send a request to the keeper");
  }
  const auto reply = await_answer(request.sequence);
  if (!reply) return reply.error();
  if (reply->error_number == 0) return {};
  const std::string tag(request.tag, request.tag_bytes);
  if (reply->error_number == ENOSPC) {
    return make_error(Errc::out_of_budget, "keep " + tag + ": the keeper's table of " +
                                               std::to_string(header().store_entries) + " is full");
  }
  if (reply->error_number == EMFILE) {
    return make_error(Errc::out_of_budget,
                      "keep " + tag + ": the keeper has no descriptor left; raise `ulimit -Hn`");
  }
  return errno_error(reply->error_number, "keep " + tag + " in the keeper");
}

// A bell that is taken from the socket here rings on: whoever waits on fd() must see it.
Result<Reply> KeeperClient::await_answer(std::uint32_t sequence) {
  for (;;) {
    Reply reply{};
    const ssize_t n = ::recv(socket_.get(), &reply, sizeof reply, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return keeper_gone();
    if (n != sizeof reply)
      return make_error(Errc::protocol_violation, "the keeper's answer is cut");
    if (reply.kind == ReplyKind::bell) {
      (void)::eventfd_write(swallowed_bell_.get(), 1);
    } else if (reply.sequence == sequence) {
      return reply;
    }
  }
}

std::optional<int> KeeperClient::find(std::string_view tag) const {
  const auto found = inherited_.find(tag);
  if (found == inherited_.end()) return std::nullopt;
  return found->second.fd.get();
}

std::vector<StoredFd> KeeperClient::entries(std::string_view prefix) const {
  std::vector<std::pair<std::uint64_t, StoredFd>> ordered;
  for (auto at = inherited_.lower_bound(prefix);
       at != inherited_.end() && at->first.starts_with(prefix); ++at) {
    ordered.push_back({at->second.order, {at->first, at->second.fd.get()}});
  }
  std::sort(ordered.begin(), ordered.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<StoredFd> list;
  list.reserve(ordered.size());
  for (auto& [order, entry] : ordered) list.push_back(std::move(entry));
  return list;
}

base::UniqueFd KeeperClient::take(std::string_view tag) {
  const auto found = inherited_.find(tag);
  if (found == inherited_.end()) return {};
  base::UniqueFd fd = std::move(found->second.fd);
  inherited_.erase(found);
  return fd;
}

std::optional<ExitEntry> KeeperClient::next_exit() {
  // sync keeper.exits: acquire; pairs with release in the keeper; shows the entries below it
  if (next_exit_ >= header().exits_appended.load(std::memory_order_acquire)) return std::nullopt;
  const auto* ring = reinterpret_cast<const ExitEntry*>(
      page_.data() + keeper_layout::exits_offset(header().store_entries));
  return ring[next_exit_++ & (header().exit_entries - 1)];
}

void KeeperClient::acknowledge() {
  settled_ = next_exit_;
  send_acknowledgement();
}

// Not waited for: they are cumulative, so one that finds the socket full goes with the next.
void KeeperClient::send_acknowledgement() noexcept {
  if (settled_ == acknowledged_) return;
  Request request{};
  request.operation = Operation::acknowledge;
  request.value = settled_;
  if (send_request(socket_.get(), request, -1, MSG_DONTWAIT)) acknowledged_ = settled_;
}

std::uint32_t KeeperClient::stop_requests() const noexcept {
  // sync keeper.stop: acquire; pairs with release in the keeper; the count alone
  return header().stop_requests.load(std::memory_order_acquire);
}

std::uint64_t KeeperClient::orphans_reaped() const noexcept {
  return header().orphans_reaped.load(std::memory_order_relaxed);  // relaxed: a statistic
}

bool KeeperClient::drain_bell() {
  eventfd_t swallowed = 0;
  (void)::eventfd_read(swallowed_bell_.get(), &swallowed);
  send_acknowledgement();
  for (;;) {
    Reply ignored{};
    const ssize_t n = ::recv(socket_.get(), &ignored, sizeof ignored, MSG_DONTWAIT);
    if (n > 0 || (n < 0 && errno == EINTR)) continue;
    return n < 0 && errno == EAGAIN;
  }
}

std::uint32_t KeeperClient::brain_generation() const noexcept {
  return header().brain_generation.load(std::memory_order_relaxed);  // relaxed: set before our exec
}
pid_t KeeperClient::keeper_pid() const noexcept { return header().keeper_pid; }
std::uint64_t KeeperClient::started_ns() const noexcept { return header().started_ns; }
std::uint64_t KeeperClient::nofile_soft_limit() const noexcept {
  return header().nofile_soft_limit;
}

}  // namespace bulkhead::supervisor
