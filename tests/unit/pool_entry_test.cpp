// A pool in a program whose main() does not call Pool::entry().
#include <gtest/gtest.h>
#include <bulkhead/pool.hpp>

namespace bulkhead {
namespace {

TEST(PoolWithoutEntry, fails_its_tasks_with_what_is_missing) {
  Pool pool({.workers = 1});
  auto task = pool.submit([] { return 1; });
  const auto result = task.get(Deadline::in(std::chrono::seconds(30)));
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::not_permitted));
  EXPECT_NE(result.error().context.find("Pool::entry(argc, argv)"), std::string::npos);
  EXPECT_EQ(task.failure()->cause, FailureCause::could_not_start);
  const auto mapped = pool.map(std::vector<int>{1, 2}, [](int x) { return x; });
  ASSERT_EQ(mapped.failures.size(), 2U);
  EXPECT_EQ(mapped.failures[1].item, 1U);
}

}  // namespace
}  // namespace bulkhead
