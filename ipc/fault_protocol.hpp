// What the control protocol says of faults that are made on purpose (docs/design/control-protocol.md): `chaos` asks the
// supervisor, which asks the worker. As ipc/control_protocol.hpp otherwise.
#pragma once

#include "ipc/control_protocol.hpp"

namespace bulkhead::ipc {

namespace method {
// command line -> brain, as a request with the instance and its process; brain -> worker, as a notification
inline constexpr std::string_view leak = "leak";
}  // namespace method

// What one asking may cost: less than hurts anybody but the worker.
inline constexpr std::uint64_t leak_bytes_max = std::uint64_t{128} << 20;
inline constexpr std::uint32_t leak_descriptors_max = 1024;

struct Leak {  // to be had and never let go of
  std::uint64_t bytes = 0;
  std::uint32_t descriptors = 0;
};

[[nodiscard]] Json encode(const Leak&);
// Errors: as decode() otherwise, also for more than the above.
template <>
Result<Leak> decode(const Json&);

}  // namespace bulkhead::ipc
