// What a benchmark must leave as it found it: the processors that this process may use, and its open
// descriptors.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>

#include <cstddef>

#include "tests/support/descriptors.hpp"

namespace bulkhead::test {

class Untouched {
 public:
  Untouched() { EXPECT_EQ(::sched_getaffinity(0, sizeof processors_, &processors_), 0); }

  int processors() const { return CPU_COUNT(&processors_); }
  void check() const {
    cpu_set_t now;
    ASSERT_EQ(::sched_getaffinity(0, sizeof now, &now), 0);
    EXPECT_TRUE(CPU_EQUAL(&processors_, &now));
    EXPECT_EQ(open_descriptors(), descriptors_);
  }

 private:
  cpu_set_t processors_{};
  std::size_t descriptors_ = open_descriptors();
};

}  // namespace bulkhead::test
