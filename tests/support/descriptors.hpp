// How many descriptors this process has open, so that a test can show that none leaked.
#pragma once

#include <cstddef>
#include <filesystem>
#include <iterator>
#include <set>
#include <string>
#include <system_error>

namespace bulkhead::test {

inline std::size_t open_descriptors() {
  // The iteration's own descriptor is counted each time, so it cancels out.
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// By their inodes, which no other has meanwhile.
inline std::set<std::string> open_sockets() {
  std::set<std::string> sockets;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code closed;
    const auto file = std::filesystem::read_symlink(entry.path(), closed).string();
    if (file.starts_with("socket:")) sockets.insert(file);
  }
  return sockets;
}

}  // namespace bulkhead::test
