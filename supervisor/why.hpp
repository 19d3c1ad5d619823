// `why`: one paragraph about an instance: why it is in its state, and what happens next. Used by the control API;
// decides nothing, and says only what core and incidents know.
#pragma once

#include <string>

#include "supervisor/core.hpp"
#include "supervisor/incidents.hpp"

namespace bulkhead::supervisor {

// `complaint` is what is wrong with its links, or empty.
std::string explain(const Plan&, const State&, const Incidents&, const std::string& complaint, Slot,
                    TimeNs now);

}  // namespace bulkhead::supervisor
