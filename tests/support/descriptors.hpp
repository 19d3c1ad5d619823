// How many descriptors this process has open, so that a test can show that none leaked.
#pragma once

#include <cstddef>
#include <filesystem>
#include <iterator>

namespace bulkhead::test {

inline std::size_t open_descriptors() {
  // The iteration's own descriptor is counted each time, so it cancels out.
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

}  // namespace bulkhead::test
