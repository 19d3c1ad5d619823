// Bulkhead and the other supervisors, each with the same child, killed in turn. Used by supervisors_main.cpp and a test.
#pragma once

#include <bulkhead/error.hpp>
#include <chrono>
#include <functional>
#include <vector>

#include "bench/others/supervisors/report.hpp"
#include "bench/others/supervisors/supervised.hpp"

namespace bulkhead::bench::others {

// How long a child has run when it is killed. Settled is beyond the second within which s6 and runit hold a restart
// back; young is a program that crashes again at once.
inline constexpr std::chrono::milliseconds settled{1200}, young{10};

struct ComparisonOptions {
  int kills = 100;  // of each, settled, and as many young
  std::vector<std::string> without;
  std::function<void(int round)> on_round;  // may be empty
};

// In every round each is killed twice, settled and then young, before the next one's turn comes, and every round begins
// with another one, so that all meet the same weather. The first recipe is what the others are compared with. Those whose program is not installed, or that
// are in `without`, are left out and named.
// Blocking: four seconds a round, with all of them. Errors: invalid_argument, a name in `without` that nobody has;
// those of Supervised. All of them are gone when it returns.
Result<Comparison> compare(const std::vector<Recipe>&, const Supervised::Surroundings&,
                           const ComparisonOptions&);

}  // namespace bulkhead::bench::others
