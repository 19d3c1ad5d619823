// What the owner makes of a ledger whose workers die, the ledger being written by hand.
#include "pool/range_job.hpp"

#include <gtest/gtest.h>

namespace bulkhead::pool {
namespace {

using detail::ClaimLedger;
using detail::ClaimRange;
using detail::ClaimSeat;
using detail::ItemMark;

class RangeJobs : public testing::Test {
 protected:
  std::unique_ptr<RangeJob> job_of(std::uint32_t items, std::uint32_t slots = 2) {
    detail::RangeWork work;
    work.items = items;
    auto made = RangeJob::create(std::move(work), slots);
    if (!made) throw std::runtime_error(made.error().to_string());
    return std::move(*made);
  }
  static ClaimLedger& ledger(RangeJob& job) {
    return *reinterpret_cast<ClaimLedger*>(job.memory()->bytes().data());
  }
  static TaskFailure death() {
    TaskFailure failure;
    failure.cause = FailureCause::signal;
    failure.error = make_error(Errc::peer_died, "died");
    return failure;
  }
  // As a worker would: takes some, marks some.
  static void run_items(RangeJob& job, std::uint32_t seat, bool open, std::uint32_t count) {
    ClaimSeat worker(ledger(job), seat, open);
    std::uint32_t item = 0;
    for (std::uint32_t i = 0; i < count && worker.take(item); ++i)
      worker.mark(item, ItemMark::done);
  }
  static void run_all(RangeJob& job, std::uint32_t seat, bool open) {
    run_items(job, seat, open, UINT32_MAX);
    job.end_part(seat);
  }
};

TEST_F(RangeJobs, are_done_when_every_item_is_marked) {
  auto job = job_of(100);
  ASSERT_TRUE(job->next_part(0));
  run_all(*job, 0, true);
  EXPECT_TRUE(job->settle());
  EXPECT_TRUE(job->outcome().failures.empty());
}

TEST_F(RangeJobs, blame_the_item_that_was_running_and_put_back_the_rest) {
  auto job = job_of(100);
  ASSERT_TRUE(job->next_part(0));
  ledger(*job).next = 100;
  ledger(*job).slot(0)->range = ClaimRange{41, 100};
  ledger(*job).slot(0)->current = 40 + 1;
  for (std::uint32_t i = 0; i < 40; ++i) ledger(*job).mark(i) = ItemMark::done;
  job->lose_part(0, death(), 2);
  EXPECT_FALSE(job->settle());

  auto part = job->next_part(0);  // the suspect, alone
  ASSERT_TRUE(part);
  EXPECT_TRUE(part->alone);
  EXPECT_FALSE(part->open);
  EXPECT_EQ(ledger(*job).slot(0)->range.load().begin, 40U);
  EXPECT_EQ(ledger(*job).slot(0)->range.load().end, 41U);
  part = job->next_part(1);
  ASSERT_TRUE(part);
  EXPECT_FALSE(part->alone);
  EXPECT_EQ(ledger(*job).slot(1)->range.load().begin, 41U);
  EXPECT_EQ(ledger(*job).slot(1)->range.load().end, 100U);
  run_all(*job, 0, false);
  run_all(*job, 1, true);
  EXPECT_TRUE(job->settle());
}

TEST_F(RangeJobs, give_an_item_up_after_its_retries_and_tell_how_often) {
  auto job = job_of(3);
  for (unsigned death_number = 1; death_number <= 3; ++death_number) {
    ASSERT_TRUE(job->next_part(0));
    std::uint32_t item = 0;
    ClaimSeat worker(ledger(*job), 0, false);
    if (death_number == 1) {
      ledger(*job).next = 3;
      ledger(*job).slot(0)->range = ClaimRange{1, 3};
      ledger(*job).slot(0)->current = 0 + 1;
    } else {
      ASSERT_TRUE(worker.take(item));
      ASSERT_EQ(item, 0U);
    }
    job->lose_part(0, death(), 2);
  }
  ASSERT_TRUE(job->next_part(0));
  run_all(*job, 0, true);
  ASSERT_TRUE(job->settle());
  const auto outcome = job->outcome();
  ASSERT_EQ(outcome.failures.size(), 1U);
  EXPECT_EQ(outcome.failures[0].item, 0U);
  EXPECT_EQ(outcome.failures[0].failure.attempts, 3U);
}

TEST_F(RangeJobs, blame_nobody_when_the_last_item_was_marked) {
  auto job = job_of(10);
  ASSERT_TRUE(job->next_part(0));
  run_items(*job, 0, true, 4);
  job->lose_part(0, death(), 0);
  ASSERT_TRUE(job->next_part(1));
  run_all(*job, 1, true);
  EXPECT_TRUE(job->settle());
  EXPECT_TRUE(job->outcome().failures.empty());
}

TEST_F(RangeJobs, blame_nobody_for_an_item_that_was_named_and_not_taken) {
  auto job = job_of(10);
  ASSERT_TRUE(job->next_part(0));
  ledger(*job).next = 10;
  ledger(*job).slot(0)->range = ClaimRange{0, 10};
  ledger(*job).slot(0)->current = 0 + 1;
  job->lose_part(0, death(), 0);
  ASSERT_TRUE(job->next_part(1));
  run_all(*job, 1, true);
  EXPECT_TRUE(job->settle());
  EXPECT_TRUE(job->outcome().failures.empty());
}

TEST_F(RangeJobs, find_what_a_dead_worker_had_claimed_and_not_noted) {
  auto job = job_of(100);
  ASSERT_TRUE(job->next_part(0));
  ledger(*job).next = 30;  // claimed, and then it died (L4)
  job->lose_part(0, death(), 2);
  ASSERT_TRUE(job->next_part(1));
  run_all(*job, 1, true);
  EXPECT_FALSE(job->settle());  // the first thirty are back
  ASSERT_TRUE(job->next_part(1));
  EXPECT_EQ(ledger(*job).slot(1)->range.load().end, 30U);
  run_all(*job, 1, true);
  EXPECT_TRUE(job->settle());
}

TEST_F(RangeJobs, believe_no_range_that_a_dead_worker_has_spoilt) {
  auto job = job_of(100);
  ASSERT_TRUE(job->next_part(0));
  ledger(*job).next = 100;
  ledger(*job).slot(0)->range = ClaimRange{4'000'000, 5'000'000};
  ledger(*job).slot(0)->current = std::uint64_t{1} << 40;
  job->lose_part(0, death(), 0);
  EXPECT_FALSE(job->settle());
  ASSERT_TRUE(job->next_part(0));
  run_all(*job, 0, true);
  EXPECT_TRUE(job->settle());
  EXPECT_TRUE(job->outcome().failures.empty());
}

TEST_F(RangeJobs, end_when_they_are_given_up_with_every_item_that_was_not_done) {
  auto job = job_of(10);
  ASSERT_TRUE(job->next_part(0));
  run_items(*job, 0, true, 3);
  job->end_part(0);
  job->give_up(death());
  EXPECT_TRUE(job->settle());
  EXPECT_EQ(job->outcome().failures.size(), 7U);
}

TEST_F(RangeJobs, take_a_delivered_result_once_and_count_it_as_done) {
  detail::RangeWork work;
  work.items = 2;
  std::vector<int> seen;
  work.on_result = [&](std::uint32_t, detail::BodyReader& from) -> Result<void> {
    seen.push_back(*from.read<int>());
    return {};
  };
  auto job = std::move(*RangeJob::create(std::move(work), 1));
  ASSERT_TRUE(job->next_part(0));
  ledger(*job).next = 2;
  ledger(*job).slot(0)->range = ClaimRange{1, 2};
  ledger(*job).slot(0)->current = 0 + 1;  // delivered, and died before the mark
  detail::BodyWriter seven;
  seven.write(7);
  detail::BodyReader first(seven.bytes()), again(seven.bytes()), beyond(seven.bytes());
  job->take_value(0, first);
  job->take_value(0, again);
  job->take_value(99, beyond);
  job->lose_part(0, death(), 0);
  ASSERT_TRUE(job->next_part(0));
  run_all(*job, 0, true);
  EXPECT_FALSE(job->settle());  // item 1 is marked, and its result never came
  ASSERT_TRUE(job->next_part(0));
  detail::BodyWriter eight;
  eight.write(8);
  detail::BodyReader second(eight.bytes());
  job->take_value(1, second);
  run_all(*job, 0, true);
  EXPECT_TRUE(job->settle());
  EXPECT_EQ(seen, (std::vector<int>{7, 8}));
  EXPECT_TRUE(job->outcome().failures.empty());
}

}  // namespace
}  // namespace bulkhead::pool
