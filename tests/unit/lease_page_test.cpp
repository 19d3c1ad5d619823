// The word that a worker and the brain share about a lease: who may say that it is over, and when it is too late.
#include <gtest/gtest.h>

#include "ipc/lease_page.hpp"

namespace bulkhead::ipc {
namespace {

constexpr std::uint64_t timeout = 1'000;

class LeaseWord : public testing::Test {
 protected:
  LeaseWord()
      : fd(make_lease_page("jobs/a.0/b.0").value()),
        clock(map_lease_page(fd.get()).value()),
        region(map_lease_page(fd.get()).value()) {}
  LeasePage& page() { return *reinterpret_cast<LeasePage*>(region.data()); }
  bool overdue(std::uint64_t now) { return is_overdue(page(), timeout, now); }

  base::UniqueFd fd;
  LeaseClock clock;
  base::MappedRegion region;
};

TEST_F(LeaseWord, is_overdue_once_the_timeout_is_over_and_not_before) {
  EXPECT_FALSE(overdue(1'000'000));
  clock.begin(5'000);
  EXPECT_EQ(due_at(page(), timeout, 5'500), 6'000U);
  EXPECT_FALSE(overdue(5'999));
  EXPECT_FALSE(clock.is_condemned());
  EXPECT_TRUE(overdue(6'000));
  EXPECT_TRUE(clock.is_condemned());
}

TEST_F(LeaseWord, that_is_over_condemns_nobody) {
  clock.begin(5'000);
  EXPECT_TRUE(clock.end());
  EXPECT_FALSE(overdue(1'000'000));
  clock.begin(1'000'000);
  EXPECT_FALSE(overdue(1'000'500)) << "each lease has its own time";
}

TEST_F(LeaseWord, of_the_condemned_is_not_taken_back_by_them) {
  clock.begin(5'000);
  EXPECT_TRUE(overdue(6'000));
  EXPECT_FALSE(clock.end());
  EXPECT_TRUE(clock.is_condemned());
}

// The brain that gave the verdict died before it killed.
TEST_F(LeaseWord, keeps_a_verdict_for_the_next_brain) {
  clock.begin(5'000);
  EXPECT_TRUE(overdue(6'000));
  EXPECT_TRUE(overdue(6'001));
  forget_lease(page());
  EXPECT_FALSE(overdue(1'000'000)) << "of an incarnation that is dead";
}

TEST_F(LeaseWord, goes_on_from_where_it_began_when_the_answer_could_not_be_sent) {
  clock.begin(5'000);
  EXPECT_TRUE(clock.end());
  EXPECT_FALSE(overdue(7'000)) << "to wait for room is not to hold the task";
  clock.go_on();
  EXPECT_TRUE(overdue(7'000));
}

TEST_F(LeaseWord, of_the_future_does_not_put_the_brain_off) {
  clock.begin(std::uint64_t{1} << 62);
  EXPECT_EQ(due_at(page(), timeout, 5'000), 6'000U);
  EXPECT_FALSE(overdue(5'000));
}

TEST(LeasePage, that_is_too_small_is_refused) {
  const auto empty = base::make_memfd("empty", false).value();
  EXPECT_TRUE(map_lease_page(empty.get()).error().is(Errc::protocol_violation));
}

}  // namespace
}  // namespace bulkhead::ipc
