// ${index} and ${env:NAME} in a worker's command and environment.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::supervisor {

// Errors: bad_config for an unknown form and for a variable that is not set.
Result<std::string> expand(std::string_view text, std::uint32_t index);

}  // namespace bulkhead::supervisor
