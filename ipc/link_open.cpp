// The message that opens a worker's end of a link, the largest of the control protocol.
#include "ipc/control_protocol.hpp"

namespace bulkhead::ipc {
namespace {

constexpr std::string_view side_names[] = {"from", "to"};
constexpr std::string_view role_names[] = {"from", "to", "client", "server"};
constexpr std::string_view transport_names[] = {"shm", "unix", "tcp", "pipe"};
constexpr std::string_view wait_names[] = {"adaptive", "spin", "block"};
constexpr std::string_view overflow_names[] = {"block", "drop_oldest", "drop_newest", "conflate"};

}  // namespace

Json encode(const LinkOpen& open) {
  Json to{{"pair", open.pair},
          {"link", open.link},
          {"role", name_of(role_names, open.role)},
          {"side", name_of(side_names, open.side)},
          {"peer", open.peer},
          {"peer_generation", open.peer_generation},
          {"epoch", open.epoch},
          {"transport", name_of(transport_names, open.transport)},
          {"capacity", open.options.capacity},
          {"max_message", open.options.max_message},
          {"wait", name_of(wait_names, open.options.wait)},
          {"session", open.session}};
  if (!open.service.empty()) to["service"] = open.service;
  if (open.topic) {
    to["topic"] = {{"overflow", name_of(overflow_names, open.topic->overflow)},
                   {"history", open.topic->history}};
  }
  if (open.max_attempts != 0) to["max_attempts"] = open.max_attempts;
  if (open.workers != 0) to["workers"] = open.workers;
  if (open.predecessor) to["fds"].push_back("predecessor");
  if (open.journal) to["fds"].push_back("journal");
  if (open.lease) to["fds"].push_back("lease");
  return to;
}

template <>
Result<LinkOpen> decode(const Json& params) {
  LinkOpen open;
  std::vector<std::string> fds;
  Json topic;
  FieldReader in(method::link_open, params);
  in.required("pair", open.pair)
      .required("link", open.link)
      .required_name("role", role_names, open.role)
      .optional("service", open.service)
      .required_name("side", side_names, open.side)
      .required("peer", open.peer)
      .optional("peer_generation", open.peer_generation)
      .required("epoch", open.epoch)
      .required_name("transport", transport_names, open.transport)
      .required("capacity", open.options.capacity)
      .required("max_message", open.options.max_message)
      .required_name("wait", wait_names, open.options.wait)
      .optional("session", open.session)
      .optional("topic", topic)
      .optional("max_attempts", open.max_attempts)
      .optional("workers", open.workers)
      .optional("fds", fds);
  if (!topic.is_null()) {
    FieldReader policy("link.open topic", topic);
    policy.required_name("overflow", overflow_names, open.topic.emplace().overflow)
        .optional("history", open.topic->history);
    if (policy.failed()) return policy.error();
  }
  if (open.epoch == 0) in.reject("epoch", "is 0; the first is 1");
  for (const auto& fd : fds) {
    open.predecessor = open.predecessor || fd == "predecessor";
    open.journal = open.journal || fd == "journal";
    open.lease = open.lease || fd == "lease";
  }
  return in.finish(std::move(open));
}

}  // namespace bulkhead::ipc
