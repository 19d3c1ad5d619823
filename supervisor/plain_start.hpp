// What a program that does not use the runtime is given at its start. Used by PlainDesk, which makes it, and by Processes,
// which passes it on.
#pragma once

#include <string>
#include <vector>

#include "base/fd.hpp"

namespace bulkhead::supervisor {

struct StoredDescriptor {
  int fd;  // borrowed
  std::string name;
};

struct PlainStart {
  std::string notify_address;  // as in NOTIFY_SOCKET
  base::UniqueFd ready;        // where it has a readiness descriptor
  std::vector<StoredDescriptor> stored;
};

}  // namespace bulkhead::supervisor
