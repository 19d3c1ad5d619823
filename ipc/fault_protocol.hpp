// What the control protocol says of faults (docs/design/control-protocol.md): a connection that was cut, as a worker finds
// it; and what is to go wrong on purpose, for which `chaos` asks the supervisor, and that the worker. As
// ipc/control_protocol.hpp otherwise.
#pragma once

#include "ipc/control_protocol.hpp"

namespace bulkhead::ipc {

namespace method {
// command line -> brain, as a request with the instance and its process; brain -> worker, as a notification
inline constexpr std::string_view leak = "leak";
// worker -> brain, as a notification
inline constexpr std::string_view link_cut = "link.cut";
}  // namespace method

struct LinkCut {
  std::string pair;
  std::uint16_t epoch = 0, peer_epoch = 0;  // the incarnations that the connection was between
};

// What one asking may cost: less than hurts anybody but the worker.
inline constexpr std::uint64_t leak_bytes_max = std::uint64_t{128} << 20;
inline constexpr std::uint32_t leak_descriptors_max = 1024;

struct Leak {  // to be had and never let go of
  std::uint64_t bytes = 0;
  std::uint32_t descriptors = 0;
};

[[nodiscard]] Json encode(const LinkCut&);
[[nodiscard]] Json encode(const Leak&);
template <>
Result<LinkCut> decode(const Json&);
// Errors: as decode() otherwise, also for more than the above.
template <>
Result<Leak> decode(const Json&);

}  // namespace bulkhead::ipc
