// What a run must not leave behind: processes, names in /dev/shm, descriptors.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>

#include "base/process_tree.hpp"
#include "tests/support/descriptors.hpp"

namespace bulkhead::test {

class LeftBehind {
 public:
  void expect_nothing() const {
    EXPECT_TRUE(base::children_of(::getpid()).value().empty());
    EXPECT_EQ(shared_names(), names_);
    EXPECT_EQ(open_descriptors(), descriptors_);
  }

 private:
  static std::set<std::string> shared_names() {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
      names.insert(entry.path().string());
    }
    return names;
  }
  std::set<std::string> names_ = shared_names();
  std::size_t descriptors_ = open_descriptors();
};

}  // namespace bulkhead::test
