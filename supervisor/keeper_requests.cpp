// The part of Keeper that talks with the brain: fixed-size packets, nothing that could block.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "supervisor/keeper.hpp"

namespace bulkhead::supervisor {
namespace {

using keeper_layout::Operation;
using keeper_layout::Reply;
using keeper_layout::ReplyKind;
using keeper_layout::Request;

constexpr int requests_per_round = 64;  // then signals have their turn

// Takes the one descriptor that may ride along; more would be closed by the kernel for want of room.
base::UniqueFd descriptor_of(msghdr& message) noexcept {
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int))) {
    return {};
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return base::UniqueFd{fd};
}

}  // namespace

void Keeper::serve_brain() noexcept {
  if (answer_waits_) {
    answer_waits_ = !send_to_brain(waiting_answer_);
    return;
  }
  for (int i = 0; i < requests_per_round && !answer_waits_ && !finished_; ++i) {
    if (!serve_one_request()) return;
  }
}

bool Keeper::serve_one_request() noexcept {
  Request request{};
  iovec bytes{&request, sizeof request};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t n = ::recvmsg(brain_.socket(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0 && errno == EINTR) return true;
  if (n == 0) brain_.hang_up();
  if (n <= 0) return false;
  base::UniqueFd fd = descriptor_of(message);
  if (n != sizeof request || request.tag_bytes > keeper_layout::tag_bytes_max) {
    report("the brain (pid %d) sent a broken request: killing it", brain_.pid());
    brain_.kill();
    return false;
  }
  carry_out(request, std::move(fd));
  return true;
}

void Keeper::carry_out(const Request& request, base::UniqueFd fd) noexcept {
  Reply reply{ReplyKind::answer, request.sequence, 0, 0};
  switch (request.operation) {
    case Operation::acknowledge:
      if (reaper_.acknowledge(request.value)) reap_children();
      return;
    case Operation::put: reply.error_number = store(request, std::move(fd)); break;
    case Operation::say: voice_.say({request.tag, request.tag_bytes}); break;
    case Operation::drop: store_.drop({request.tag, request.tag_bytes}); break;
    case Operation::stop:
      answer(reply);
      finish(static_cast<int>(request.value & 0xff));
      return;
    default: reply.error_number = EOPNOTSUPP; break;
  }
  answer(reply);
}

// A put without a descriptor is one that the kernel could not give us: we have reached our limit.
int Keeper::store(const Request& request, base::UniqueFd fd) noexcept {
  if (request.tag_bytes == 0) return EINVAL;
  if (!fd.is_open()) return EMFILE;
  return store_.put({request.tag, request.tag_bytes}, std::move(fd));
}

void Keeper::answer(const Reply& reply) noexcept {
  if (send_to_brain(reply)) return;
  waiting_answer_ = reply;
  answer_waits_ = true;
}

// False: its queue is full. A brain that is gone counts as told.
bool Keeper::send_to_brain(const Reply& reply) noexcept {
  if (brain_.socket() < 0) return true;
  for (;;) {
    if (::send(brain_.socket(), &reply, sizeof reply, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
      return true;
    if (errno != EINTR) return errno != EAGAIN;
  }
}

// When the queue is full, bells lie in it unread already.
void Keeper::ring_bell() noexcept { (void)send_to_brain({ReplyKind::bell, 0, 0, 0}); }

}  // namespace bulkhead::supervisor
