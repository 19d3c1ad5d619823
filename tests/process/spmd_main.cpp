// Tests whose program is also the program of the processes that they start.
#include <gtest/gtest.h>
#include <bulkhead/pool.hpp>

int main(int argc, char** argv) {
  bulkhead::Pool::entry(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
