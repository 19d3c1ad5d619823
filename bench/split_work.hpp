// Work that is cut into items of uneven cost, for benchmarks of who spreads it over processors. Knows nothing of them.
#pragma once

#include <cstdint>

namespace bulkhead::bench {

// A plain value, callable in any process of this program. The call is a function of its own, so that everybody runs
// the same instructions.
struct SplitWork {
  enum class Kind : std::uint8_t {
    mandelbrot,  // an item is a row of a picture: those through the middle take a hundred times as long as the outer ones
    primes,      // an item is a block of numbers, each tried by division: later ones take longer
  };

  std::uint64_t operator()(std::uint32_t item) const noexcept;  // its share of the checksum

  Kind kind = Kind::mandelbrot;
  std::uint32_t items = 0;
};

const char* to_text(SplitWork::Kind) noexcept;  // as in "workload"

// A picture of so many rows, and as many columns.
SplitWork mandelbrot_work(std::uint32_t rows) noexcept;
// The numbers below so many thousand.
SplitWork primes_work(std::uint32_t thousands) noexcept;

}  // namespace bulkhead::bench
