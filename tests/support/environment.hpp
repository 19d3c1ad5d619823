// What whoever runs a test may choose: how long it goes on, and with which seed.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace bulkhead::test {

inline std::uint64_t chosen(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// BULKHEAD_TEST_SEED repeats a run that has failed.
inline std::uint64_t chosen_seed() {
  const auto seed = chosen("BULKHEAD_TEST_SEED", std::random_device{}());
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace bulkhead::test
