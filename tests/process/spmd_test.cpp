// run_spmd in processes: what comes out, and what it refuses.
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>
#include <bulkhead/spmd.hpp>

#include <array>
#include <functional>
#include <numeric>
#include <set>
#include <string>
#include <thread>

#include "tests/support/left_behind.hpp"
#include "tests/support/spmd_kinds.hpp"

namespace bulkhead::test {
namespace {

class Spmd : public ::testing::Test {
 protected:
  void TearDown() override { left_.expect_nothing(); }
  LeftBehind left_;
};

class SpmdResults : public ::testing::TestWithParam<unsigned> {};

TEST_P(SpmdResults, are_those_of_one_process_for_every_collective_size_and_root) {
  const LeftBehind left;
  const auto outcome = run_spmd(GetParam(), [](Communicator& group) -> Result<std::string> {
    std::string wrong;
    for (const Kind kind : all_kinds) {
      // 8 bytes each: none, one, an odd count within a piece, one piece and a bit, many pieces.
      for (const std::size_t count : {0UL, 1UL, 513UL, 8193UL, 40'001UL}) {
        const auto root = static_cast<unsigned>(count % group.size());
        const auto right = collect(kind, group, count, root);
        if (!right) return right.error();
        if (!*right) wrong += std::string(name_of(kind)) + " of " + std::to_string(count) + "; ";
      }
    }
    return wrong;
  });
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  ASSERT_TRUE(outcome->complete()) << outcome->failures[0].failure.in_words();
  for (const auto& wrong : outcome->values) EXPECT_EQ(wrong, "");
  left.expect_nothing();
}
INSTANTIATE_TEST_SUITE_P(Ranks, SpmdResults, ::testing::Values(1U, 2U, 3U, 7U));

TEST_F(Spmd, gives_single_values_in_their_own_forms) {
  const auto outcome = run_spmd(3, [](Communicator& group) -> Result<bool> {
    const unsigned rank = group.rank();
    bool right = true;
    const auto sent = group.broadcast(rank + 10, 2);
    if (!sent) return sent.error();
    right &= *sent == 12;
    const auto part = group.scatter(std::array{5.0, 6.0, 7.0}, 1);
    if (!part) return part.error();
    right &= *part == 5.0 + rank;
    const auto all = group.gather('a', 0);
    if (!all) return all.error();
    right &= *all == (rank == 0 ? std::vector<char>{'a', 'a', 'a'} : std::vector<char>());
    const auto ranks = group.all_gather(rank);
    if (!ranks) return ranks.error();
    right &= *ranks == std::vector<unsigned>{0, 1, 2};
    const auto sum = group.reduce(rank + 1, std::plus<>(), 2);
    if (!sum) return sum.error();
    right &= *sum == (rank == 2 ? 6 : rank + 1);
    const auto most = group.all_reduce(rank, [](unsigned a, unsigned b) { return a > b ? a : b; });
    if (!most) return most.error();
    right &= *most == 2;
    const auto up_to = group.scan(rank + 1, std::multiplies<>());
    if (!up_to) return up_to.error();
    right &= *up_to == std::array{1U, 2U, 6U}[rank];
    return right;
  });
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  ASSERT_TRUE(outcome->complete()) << outcome->failures[0].failure.in_words();
  EXPECT_EQ(outcome->values, std::vector<bool>(3, true));
}

TEST_F(Spmd, takes_captures_and_arguments_and_gives_results_as_a_pool_does) {
  auto shared = SharedArray<long>::create(4);
  ASSERT_TRUE(shared);
  const long factor = 3;
  const auto outcome = run_spmd(
      4,
      [factor](Communicator& group, const std::string& name, const std::vector<long>& values,
               const SharedArray<long>& out) {
        out[group.rank()] = factor * values[group.rank()];
        return name + std::to_string(group.rank()) + " of " + std::to_string(group.size());
      },
      std::string("rank "), std::vector<long>{1, 2, 3, 4}, *shared);
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(outcome->values,
            (std::vector<std::string>{"rank 0 of 4", "rank 1 of 4", "rank 2 of 4", "rank 3 of 4"}));
  EXPECT_EQ(std::accumulate(shared->begin(), shared->end(), 0L), 30);
}

TEST_F(Spmd, runs_every_rank_in_a_process_of_its_own) {
  for (const bool exec : {false, true}) {
    SpmdOptions options;
    options.exec_workers = exec;
    const auto outcome = run_spmd_with(options, 5, [](Communicator& group) -> Result<int> {
      if (auto met = group.barrier(); !met) return met.error();
      return ::getpid();
    });
    ASSERT_TRUE(outcome) << outcome.error().to_string();
    ASSERT_TRUE(outcome->complete()) << outcome->failures[0].failure.in_words();
    std::set<int> pids(outcome->values.begin(), outcome->values.end());
    pids.insert(::getpid());
    EXPECT_EQ(pids.size(), 6U);
  }
}

TEST_F(Spmd, may_run_several_times_at_once) {
  std::vector<Result<SpmdOutcome<unsigned>>> outcomes(
      2, Result<SpmdOutcome<unsigned>>(SpmdOutcome<unsigned>()));
  std::vector<std::thread> threads;
  for (auto& outcome : outcomes) {
    threads.emplace_back([&outcome] {
      outcome = run_spmd(
          3, [](Communicator& group) { return group.all_reduce(group.rank(), std::plus<>()); });
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& outcome : outcomes) {
    ASSERT_TRUE(outcome) << outcome.error().to_string();
    EXPECT_EQ(outcome->values, std::vector<unsigned>(3, 3));
  }
}

TEST_F(Spmd, needs_no_result) {
  const auto outcome = run_spmd(2, [](Communicator& group) { (void)group.barrier(); });
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->complete());
}

TEST_F(Spmd, refuses_no_ranks_and_too_many) {
  const auto nothing = [](Communicator&) {};
  EXPECT_TRUE(run_spmd(0, nothing).error().is(Errc::invalid_argument));
  EXPECT_TRUE(run_spmd(spmd_ranks_max + 1, nothing).error().is(Errc::invalid_argument));
}

TEST_F(Spmd, is_refused_within_a_rank_and_within_a_task) {
  const auto inner = [](Communicator& group) { return group.rank(); };
  const auto outcome = run_spmd(2, [inner](Communicator&) {
    const auto nested = run_spmd(2, inner);
    return !nested && nested.error().is(Errc::not_permitted);
  });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->values, std::vector<bool>(2, true));
  PoolOptions one;
  one.workers = 1;
  Pool pool(one);
  EXPECT_TRUE(pool.submit([inner] {
                    const auto nested = run_spmd(2, inner);
                    return !nested && nested.error().is(Errc::not_permitted);
                  })
                  .value());
}

TEST_F(Spmd, tells_why_no_rank_can_be_started) {
  SpmdOptions options;
  options.memory_max = 1 << 20;  // not even for its channel
  const auto outcome = run_spmd_with(options, 2, [](Communicator& group) { return group.rank(); });
  ASSERT_FALSE(outcome);
  EXPECT_TRUE(outcome.error().is(Errc::exec_failed)) << outcome.error().to_string();
}

TEST_F(Spmd, ends_at_its_deadline_with_all_its_processes) {
  SpmdOptions options;
  options.deadline = Deadline::in(std::chrono::milliseconds(100));
  const auto outcome = run_spmd_with(options, 3, [](Communicator& group) {
    if (group.rank() == 1) {
      for (;;) ::pause();
    }
    (void)group.barrier();
  });
  ASSERT_FALSE(outcome);
  EXPECT_TRUE(outcome.error().is(Errc::timed_out)) << outcome.error().to_string();
}

TEST_F(Spmd, has_tasks_alone_where_they_wait_for_each_other) {
  PoolOptions three;
  three.workers = 3;
  Pool pool(three);
  auto memory = SharedArray<unsigned>::create(1);
  ASSERT_TRUE(memory);
  TaskOptions alone;
  alone.alone = true;
  std::vector<Future<void>> met;
  for (int i = 0; i < 3; ++i) {
    met.push_back(pool.submit_with(
        alone,
        [](const SharedArray<unsigned>& count) {
          __atomic_fetch_add(&count[0], 1, __ATOMIC_SEQ_CST);
          while (__atomic_load_n(&count[0], __ATOMIC_SEQ_CST) != 3) ::sched_yield();
        },
        *memory));
  }
  for (const auto& future : met) EXPECT_TRUE(future.get());
}

}  // namespace
}  // namespace bulkhead::test
