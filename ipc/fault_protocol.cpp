#include "ipc/fault_protocol.hpp"

#include <utility>

namespace bulkhead::ipc {

Json encode(const LinkCut& cut) {
  return {{"pair", cut.pair}, {"epoch", cut.epoch}, {"peer_epoch", cut.peer_epoch}};
}

template <>
Result<LinkCut> decode(const Json& params) {
  LinkCut cut;
  FieldReader in(method::link_cut, params);
  in.required("pair", cut.pair).required("epoch", cut.epoch).required("peer_epoch", cut.peer_epoch);
  return in.finish(std::move(cut));
}

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
