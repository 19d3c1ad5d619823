// What a dead worker's report says of its death. Used by the dispatcher and by TaskFailure.
#pragma once

#include <bulkhead/future.hpp>

#include <cstddef>
#include <span>
#include <string>

namespace bulkhead::pool {

struct DeathWords {
  std::string words;         // "SIGSEGV reading 0x0"
  bool from_worker = false;  // there is a report, and it is of this death
  bool out_of_memory = false;
};
DeathWords death_in_words(std::span<const std::byte> report, int pid, int signal);

}  // namespace bulkhead::pool
