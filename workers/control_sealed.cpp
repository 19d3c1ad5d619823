// The part of ControlLink that publishes sealed buffers and opens those of others.
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "ipc/sealed_protocol.hpp"
#include "workers/control_link.hpp"

namespace bulkhead::workers {
namespace {

// Chosen here and not by a brain, so that a request which two brains hear names the same buffer twice.
Result<std::uint64_t> fresh_number() {
  std::uint64_t number = 0;
  if (::getentropy(&number, sizeof number) != 0) return errno_error(errno, "name a sealed buffer");
  return number;
}

}  // namespace

Result<SealedTicket> ControlLink::publish(const SealedBuffer& buffer, Deadline deadline) {
  const auto number = fresh_number();
  if (!number) return number.error();
  const SealedTicket ticket{*number, buffer.bytes().size()};
  const auto answer =
      ask(ipc::method::sealed_keep, ipc::encode(ipc::SealedKeep{ticket}), deadline, {buffer.fd()});
  if (!answer) return answer.error();
  return ticket;
}

Result<SealedBuffer> ControlLink::open_sealed(SealedTicket ticket, Deadline deadline) {
  auto answer = ask(ipc::method::sealed_open, ipc::encode(ipc::SealedName{ticket}), deadline);
  if (!answer) return answer.error();
  const auto memory = ipc::fd_named(*answer, "memory");
  if (!memory) return memory.error();
  return SealedBuffer::open(memory->get());
}

Result<void> ControlLink::withdraw(SealedTicket ticket, Deadline deadline) {
  const auto answer = ask(ipc::method::sealed_drop, ipc::encode(ipc::SealedName{ticket}), deadline);
  if (!answer) return answer.error();
  return {};
}

Result<std::vector<SealedTicket>> ControlLink::published(Deadline deadline) {
  const auto answer = ask(ipc::method::sealed_list, ipc::Json::object(), deadline);
  if (!answer) return answer.error();
  auto list = ipc::decode<ipc::SealedList>(answer->body["result"]);
  if (!list) return list.error();
  return std::move(list->tickets);
}

}  // namespace bulkhead::workers
