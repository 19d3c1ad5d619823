// What the web process gives up before it reads a byte from the network. Used by bulkhead-web alone.
#pragma once

#include <bulkhead/error.hpp>
#include <vector>

namespace bulkhead::supervisor {

// From here on this process, and whoever takes it over, opens no file, starts no program and no other process, touches
// none either, makes no socket but unix ones, and has no capability; threads it may start. Returns what the kernel
// refused to take away, by name and with what follows from it.
// Threads: call it while there is only one.
std::vector<Error> drop_rights();

}  // namespace bulkhead::supervisor
