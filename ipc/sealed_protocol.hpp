// What the control protocol says of published buffers (docs/design/control-protocol.md): the part of its
// vocabulary that only those need who have to do with them. As ipc/control_protocol.hpp otherwise.
#pragma once

#include <bulkhead/sealed.hpp>
#include <vector>

#include "ipc/control_protocol.hpp"

namespace bulkhead::ipc {

namespace method {
// worker -> brain, all of them requests
inline constexpr std::string_view sealed_keep = "sealed.keep", sealed_open = "sealed.open",
                                  sealed_drop = "sealed.drop", sealed_list = "sealed.list";
}  // namespace method

// To publish under a number that the worker chose; once or several times, it is the same. The answer is empty.
struct SealedKeep {  // fds: memory
  SealedTicket ticket;
};
// Both sealed.open and sealed.drop, whose answer is empty.
struct SealedName {
  SealedTicket ticket;
};
struct SealedOpened {};  // fds: memory
struct SealedList {
  std::vector<SealedTicket> tickets;  // oldest first
};

[[nodiscard]] Json encode(const SealedKeep&);
[[nodiscard]] Json encode(const SealedName&);
[[nodiscard]] Json encode(const SealedOpened&);
[[nodiscard]] Json encode(const SealedList&);
template <>
Result<SealedKeep> decode(const Json&);
template <>
Result<SealedName> decode(const Json&);
template <>
Result<SealedList> decode(const Json&);

}  // namespace bulkhead::ipc
