// What the brain has to say to whoever started the system, on stderr. Used wherever a thing goes wrong that no event tells.
#pragma once

#include <string_view>

namespace bulkhead::supervisor {

// "bulkhead: TEXT", cut at 4000 bytes. Threads: one. Never blocks: what a stopped terminal or a full pipe does not take at
// once is lost, and counted in front of the next line.
void tell_operator(std::string_view text);

}  // namespace bulkhead::supervisor
