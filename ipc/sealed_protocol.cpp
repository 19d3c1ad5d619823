#include "ipc/sealed_protocol.hpp"

#include <utility>

namespace bulkhead::ipc {
namespace {

Json fields_of(const SealedTicket& ticket) {
  return {{"number", ticket.number}, {"bytes", ticket.bytes}};
}

FieldReader& read_fields(FieldReader& in, SealedTicket& ticket) {
  return in.required("number", ticket.number).required("bytes", ticket.bytes);
}

}  // namespace

Json encode(const SealedKeep& keep) {
  Json to = fields_of(keep.ticket);
  to["fds"] = Json::array({"memory"});
  return to;
}

template <>
Result<SealedKeep> decode(const Json& params) {
  SealedKeep keep;
  FieldReader in(method::sealed_keep, params);
  return read_fields(in, keep.ticket).finish(keep);
}

Json encode(const SealedName& name) { return fields_of(name.ticket); }

template <>
Result<SealedName> decode(const Json& params) {
  SealedName name;
  FieldReader in(method::sealed_open, params);
  return read_fields(in, name.ticket).finish(name);
}

Json encode(const SealedOpened&) { return {{"fds", Json::array({"memory"})}}; }

Json encode(const SealedList& list) {
  Json tickets = Json::array();
  for (const auto& ticket : list.tickets) tickets.push_back(fields_of(ticket));
  return {{"tickets", std::move(tickets)}};
}

template <>
Result<SealedList> decode(const Json& result) {
  SealedList list;
  Json tickets;
  FieldReader in(method::sealed_list, result);
  in.required("tickets", tickets);
  if (!in.failed() && !tickets.is_array()) in.reject("tickets", "is no array");
  for (const auto& each : in.failed() ? Json::array() : tickets) {
    FieldReader fields(method::sealed_list, each);
    if (read_fields(fields, list.tickets.emplace_back()).failed()) return fields.error();
  }
  return in.finish(std::move(list));
}

}  // namespace bulkhead::ipc
