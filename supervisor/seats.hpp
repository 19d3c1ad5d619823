// Which place in the state memory belongs to which instance, for as long as the system runs: configs come
// and go, and an instance that stays keeps its place, with its claim, its record and its exit entries.
// Pure. Used by ConfigDesk; knows no memory.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "supervisor/core_types.hpp"

namespace bulkhead::supervisor {

// By instance. Those that are gone stay listed while there is room, so that one that comes back goes on
// with its generations, and events tell of it by name.
using Seats = std::map<std::string, Slot>;

// A place for each of `names`: its own where it has one, else the lowest that nobody ever had, else the lowest of
// those that are gone. Errors: out_of_budget for more names than places.
Result<Seats> assign_seats(const Seats& so_far, const std::vector<std::string>& names, Slot places);

}  // namespace bulkhead::supervisor
