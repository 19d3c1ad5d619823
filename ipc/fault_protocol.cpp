#include "ipc/fault_protocol.hpp"

namespace bulkhead::ipc {

Json encode(const Leak& leak) { return {{"bytes", leak.bytes}, {"descriptors", leak.descriptors}}; }

template <>
Result<Leak> decode(const Json& params) {
  Leak leak;
  FieldReader in(method::leak, params);
  in.required("bytes", leak.bytes).required("descriptors", leak.descriptors);
  if (in.failed()) return in.error();
  if (leak.bytes > leak_bytes_max) in.reject("bytes", "is more than a leak may have");
  if (leak.descriptors > leak_descriptors_max) {
    in.reject("descriptors", "is more than a leak may have");
  }
  return in.finish(leak);
}

}  // namespace bulkhead::ipc
