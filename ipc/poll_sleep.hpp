// Sleeping until a descriptor, the supervisor, or a bell of one's own has something. Used by the ends of sockets and
// pipes; knows no link.
#pragma once

#include <bulkhead/deadline.hpp>

#include "ipc/attention.hpp"
#include "ipc/endpoint.hpp"

namespace bulkhead::ipc {

struct PollSlept {
  bool serviced = false;  // the attention's descriptor had something, which was carried out
  bool unasked = false;   // only the bound ended it, and nothing shows even now
};

// `bell`: an eventfd, which is emptied. Never for longer than the attention allows, because a thread may have taken
// from the attention's descriptor what another one sleeps for; `attention` may be null.
PollSlept poll_sleep(WaitPlan, int bell, Attention* attention, Deadline) noexcept;

}  // namespace bulkhead::ipc
