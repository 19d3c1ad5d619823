// What an incarnation takes over from the one before it on the same side of a link. Used by the endpoints of
// every transport when they open, and by their receivers for what is to be marked as redelivered.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>

#include "ipc/end_page.hpp"
#include "ipc/endpoint.hpp"

namespace bulkhead::ipc {

// Where a receiver begins: what its predecessor had taken and acknowledged.
struct ResumeState {
  Acknowledged acknowledged;
  Cursor taken;
  std::uint64_t redelivered = 0;
};

struct Succession {
  std::uint64_t base_index = 0;  // messages that our predecessors committed
  ResumeState resume;
};

// Takes spec.predecessor; all zero when there is none. Errors: those of Segment::attach_peer;
//   protocol_violation for a segment that was not left by an end of a link.
[[nodiscard]] Result<Succession> take_over(EndSpec& spec);

// In the page of an incarnation that is not offered yet: a producer that switches to it finds the cursor
// where it was.
void store_resume(EndPage&, const ResumeState&) noexcept;

// [acked, taken) of the predecessor: what its successor must mark as redelivered, and nothing else.
class TakenRange {
 public:
  explicit TakenRange(const ResumeState& resume) noexcept
      : acked_(resume.acknowledged.cursor), taken_(resume.taken), open_(taken_.epoch != 0) {}

  // `end`: the cursor after a message. Asked in the order in which messages come, and cheap once the
  // range is over.
  bool covers(Cursor end) noexcept { return open_ && look(end); }

 private:
  bool look(Cursor end) noexcept;

  const Cursor acked_, taken_;
  bool open_;
};

}  // namespace bulkhead::ipc
