#include "supervisor/seats.hpp"

#include <algorithm>

namespace bulkhead::supervisor {

Result<Seats> assign_seats(const Seats& so_far, const std::vector<std::string>& names,
                           Slot places) {
  if (names.size() > places) {
    return make_error(Errc::out_of_budget, std::to_string(names.size()) +
                                               " instances, a system has room for " +
                                               std::to_string(places));
  }
  Seats seats = so_far;
  std::vector<bool> had(places, false);
  for (const auto& [name, seat] : so_far) had[seat] = true;
  std::vector<std::string> homeless;
  Slot next = 0;
  for (const auto& name : names) {
    if (seats.contains(name)) continue;
    while (next < places && had[next]) ++next;
    if (next < places)
      seats[name] = next++;
    else
      homeless.push_back(name);
  }
  if (homeless.empty()) return seats;
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  std::vector<Slot> left;
  for (const auto& [name, seat] : so_far) {
    if (!std::binary_search(sorted.begin(), sorted.end(), name)) left.push_back(seat);
  }
  std::sort(left.begin(), left.end());
  for (std::size_t i = 0; i < homeless.size(); ++i) {
    std::erase_if(seats, [&](const auto& entry) { return entry.second == left[i]; });
    seats[homeless[i]] = left[i];
  }
  return seats;
}

}  // namespace bulkhead::supervisor
