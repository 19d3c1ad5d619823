// The config as it was when the system was started, in sealed memory: the file on disk may change.
#pragma once

#include <bulkhead/error.hpp>
#include <string>

#include "base/fd.hpp"

namespace bulkhead::supervisor {

struct ConfigText {
  std::string path;  // for messages, and what relative paths are relative to
  std::string text;
};

Result<base::UniqueFd> seal_config(const ConfigText&);
Result<ConfigText> read_sealed_config(int fd);

}  // namespace bulkhead::supervisor
