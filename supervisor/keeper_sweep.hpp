// Which entries of the keeper's store belong to nobody in the config in force: instances, pairs and links that a
// reload has taken away. Pure. Used by a brain that begins.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::supervisor {

struct Residents {
  std::set<std::string, std::less<>> instances, pairs, links;
};

// True for the tag of something that one of them could own, and none does.
bool is_stranger(std::string_view tag, const Residents&);

}  // namespace bulkhead::supervisor
