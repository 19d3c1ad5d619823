// The command line of the sweep. Used by main.
#pragma once

#include <cstdint>
#include <string>

namespace bulkhead::sweep {

struct Options {
  std::uint64_t points = 0;  // 0: all
  std::uint64_t pairs_per_row = 20'000;
  std::uint64_t seed = 0;  // 0: from the system's entropy
  std::size_t workers = 2;
  std::string only;    // rows whose names begin so
  std::string replay;  // one point
  bool list = false;
  bool must_step = false;  // although there may be debug registers
};

// Ends the program with what is wrong, or with help.
Options read_options(int count, char** arguments);

}  // namespace bulkhead::sweep
