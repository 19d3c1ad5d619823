#include "ipc/succession.hpp"

#include <utility>

#include "ipc/epoch.hpp"
#include "ipc/lane_consumer.hpp"
#include "ipc/segment.hpp"

namespace bulkhead::ipc {

Result<Succession> take_over(EndSpec& spec) {
  Succession succession;
  if (!spec.predecessor.is_open()) return succession;
  auto before = Segment::attach_peer(std::move(spec.predecessor));
  if (!before) return before.error();
  const auto committed = load_committed(before->page());
  const auto acknowledged = load_acknowledged(before->page());
  if (before->facts().ring_capacity == 0 || !committed || !acknowledged) {
    return make_error(Errc::protocol_violation,
                      spec.link + ": the segment of our predecessor is no lane at rest");
  }
  // Killed between a commit and its note in the end page: the records say how far it came.
  LaneConsumer walk(before->ring(), committed->position, committed->count, before->slabs());
  LaneConsumer::Record record;
  while (walk.last_index() - committed->count < before->facts().ring_capacity / cache_line &&
         walk.poll(record) == LaneConsumer::Found::record) {
  }
  succession.base_index = walk.last_index();
  succession.resume = {*acknowledged, load_taken(before->page()), load_redelivered(before->page())};
  return succession;
}

void store_resume(EndPage& page, const ResumeState& resume) noexcept {
  store_taken(page, resume.taken);
  store_acknowledged(page, resume.acknowledged);
  store_redelivered(page, resume.redelivered);
}

bool TakenRange::look(Cursor end) noexcept {
  const std::uint64_t from = acked_.epoch == end.epoch ? acked_.position : 0;
  open_ = taken_.epoch == end.epoch
              ? distance(from, end.position) <= distance(from, taken_.position)
              : is_newer(taken_.epoch, end.epoch);
  return open_;
}

}  // namespace bulkhead::ipc
