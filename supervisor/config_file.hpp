// The bytes of a config file, with a bound and with remedies. Used by the command line, which tells a file
// that cannot be read from a config that is wrong; knows nothing of JSON.
#pragma once

#include <bulkhead/error.hpp>
#include <string>

namespace bulkhead::supervisor {

// At most 16 MiB. Errors: bad_config, whose context is "cannot be read: WHY (REMEDY)" and does not name the path.
Result<std::string> read_config_text(const std::string& path);

}  // namespace bulkhead::supervisor
