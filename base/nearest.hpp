// Which known word a person may have meant: for "did you mean" in messages about configs, commands
// and names.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::base {

// The candidate that is nearest to `written`, the first of equals; nullopt when none is near: then
// a message had better list what there is. Case does not count, nor does '-' for '_'.
std::optional<std::string> nearest(std::string_view written,
                                   const std::vector<std::string_view>& candidates);

}  // namespace bulkhead::base
