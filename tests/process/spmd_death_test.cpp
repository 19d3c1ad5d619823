// Ranks that die, throw, leave and disagree in the middle of run_spmd: nobody hangs, and everybody is told the truth.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
#include <bulkhead/spmd.hpp>

#include <cstdlib>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>

#include "ipc/wake.hpp"
#include "tests/support/left_behind.hpp"
#include "tests/support/spmd_kinds.hpp"

namespace bulkhead::test {
namespace {

constexpr unsigned victim = 1;

// Every rank but the victim has failed with peer_died, and was told who died; the victim by its own death.
void expect_victim_named(const Result<SpmdOutcome<void>>& outcome, unsigned ranks) {
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  ASSERT_EQ(outcome->failures.size(), ranks);
  for (const auto& each : outcome->failures) {
    const auto& failure = each.failure;
    if (each.rank == victim) {
      EXPECT_EQ(failure.cause, FailureCause::signal) << failure.in_words();
      EXPECT_EQ(failure.number, SIGKILL);
    } else {
      EXPECT_EQ(failure.cause, FailureCause::error) << failure.in_words();
      EXPECT_TRUE(failure.error.is(Errc::peer_died)) << failure.in_words();
      EXPECT_NE(failure.error.context.find("rank 1 died"), std::string::npos) << failure.in_words();
    }
  }
}

class SpmdDeath : public ::testing::TestWithParam<Kind> {
 protected:
  void TearDown() override { left_.expect_nothing(); }
  LeftBehind left_;
};
std::string name_of_param(const ::testing::TestParamInfo<Kind>& info) {
  return name_of(info.param);
}
INSTANTIATE_TEST_SUITE_P(Kinds, SpmdDeath, ::testing::ValuesIn(all_kinds), &name_of_param);

TEST_P(SpmdDeath, before_it_comes_is_told_to_all_who_wait) {
  const Kind kind = GetParam();
  for (const unsigned ranks : {2U, 4U}) {
    const auto outcome = run_spmd(ranks, [kind](Communicator& group) -> Result<void> {
      if (auto met = group.barrier(); !met) return met;
      if (group.rank() == victim) ::raise(SIGKILL);
      const auto right = collect(kind, group, 9'001, victim);
      return right ? Result<void>() : right.error();
    });
    expect_victim_named(outcome, ranks);
  }
}

// Rank 0 kills it at an instant of no meaning, while all are in collectives of several pieces: before, in and
// between their steps. What came out before was right.
TEST_P(SpmdDeath, at_any_instant_is_told_to_all_who_wait) {
  const Kind kind = GetParam();
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int i = 0; i < 12; ++i) {
    const unsigned ranks = i % 2 == 0 ? 2 : 3;
    const auto calls = static_cast<unsigned>(random() % 3);
    const auto turns = static_cast<unsigned>(random() % 60'000);
    const auto outcome = run_spmd(ranks, [=](Communicator& group) -> Result<void> {
      const auto pids = group.all_gather(::getpid());
      if (!pids) return pids.error();
      for (unsigned call = 0;; ++call) {
        if (group.rank() == 0 && call == calls) {
          for (unsigned turn = 0; turn < turns; ++turn) ipc::cpu_pause();
          ::kill((*pids)[victim], SIGKILL);
        }
        const auto right = collect(kind, group, 20'001, call % group.size());
        if (!right) return right.error();
        if (!*right) return make_error(Errc::remote_error, "a wrong result");
      }
    });
    expect_victim_named(outcome, ranks);
  }
}

class SpmdEnds : public ::testing::Test {
 protected:
  void TearDown() override { left_.expect_nothing(); }
  LeftBehind left_;
};

// What rank 0 is told of rank 1, which does `end` instead of coming to a second barrier; "" if nothing.
template <class End>
Error told_when_rank_1(const End& end) {
  const auto outcome = run_spmd(3, [end](Communicator& group) -> Result<int> {
    if (auto met = group.barrier(); !met) return met.error();
    if (group.rank() == victim) return end(group);
    if (auto met = group.barrier(); !met) return met.error();
    return 0;
  });
  EXPECT_TRUE(outcome) << outcome.error().to_string();
  if (!outcome || outcome->failures.empty()) return {};
  EXPECT_EQ(outcome->failures[0].rank, 0U);
  EXPECT_EQ(outcome->failures.back().rank, 2U);
  EXPECT_EQ(outcome->failures.back().failure.error.code, outcome->failures[0].failure.error.code);
  return outcome->failures[0].failure.error;
}

TEST_F(SpmdEnds, of_a_rank_that_returns_early_is_told) {
  const auto told = told_when_rank_1([](Communicator&) -> Result<int> { return 7; });
  EXPECT_TRUE(told.is(Errc::closed)) << told.to_string();
  EXPECT_NE(told.context.find("rank 1 has returned"), std::string::npos) << told.to_string();
}

TEST_F(SpmdEnds, of_a_rank_that_returns_an_error_is_told) {
  const auto told = told_when_rank_1(
      [](Communicator&) -> Result<int> { return make_error(Errc::bad_config, "no"); });
  EXPECT_TRUE(told.is(Errc::closed)) << told.to_string();
}

TEST_F(SpmdEnds, of_a_rank_that_throws_is_told) {
  const auto told =
      told_when_rank_1([](Communicator&) -> Result<int> { throw std::runtime_error("no more"); });
  EXPECT_TRUE(told.is(Errc::closed)) << told.to_string();
  EXPECT_NE(told.context.find("rank 1 ended by an exception"), std::string::npos)
      << told.to_string();
}

TEST_F(SpmdEnds, of_a_rank_that_exits_is_told) {
  const auto told = told_when_rank_1([](Communicator&) -> Result<int> { ::_exit(3); });
  EXPECT_TRUE(told.is(Errc::peer_died)) << told.to_string();
  EXPECT_NE(told.context.find("rank 1 died"), std::string::npos) << told.to_string();
}

// Rank 2 comes once rank 1 has given up waiting for it.
TEST_F(SpmdEnds, of_a_rank_whose_deadline_passed_is_told) {
  const auto given_up = SharedArray<int>::create(1);
  ASSERT_TRUE(given_up);
  const auto outcome = run_spmd(
      3,
      [](Communicator& group, const SharedArray<int>& flag) -> Result<void> {
        if (group.rank() == 1) {
          const auto met = group.barrier(Deadline::now());
          __atomic_store_n(&flag[0], 1, __ATOMIC_SEQ_CST);
          return met;
        }
        while (group.rank() == 2 && __atomic_load_n(&flag[0], __ATOMIC_SEQ_CST) == 0) {
          ::sched_yield();
        }
        if (auto met = group.barrier(); !met) return make_error(Errc::remote_error, "all had come");
        return group.barrier();
      },
      *given_up);
  ASSERT_TRUE(outcome);
  ASSERT_EQ(outcome->failures.size(), 3U);
  EXPECT_TRUE(outcome->failures[1].failure.error.is(Errc::timed_out));
  for (const unsigned rank : {0U, 2U}) {
    const auto& told = outcome->failures[rank].failure.error;
    EXPECT_TRUE(told.is(Errc::closed)) << told.to_string();
    EXPECT_NE(told.context.find("rank 1 has given up"), std::string::npos) << told.to_string();
  }
}

TEST_F(SpmdEnds, with_the_exception_and_the_exit_code_in_the_outcome) {
  const auto outcome = run_spmd(2, [](Communicator& group) {
    if (group.rank() == 0) throw std::out_of_range("no such row");
    ::_exit(5);
  });
  ASSERT_TRUE(outcome);
  ASSERT_EQ(outcome->failures.size(), 2U);
  EXPECT_EQ(outcome->failures[0].failure.cause, FailureCause::exception);
  EXPECT_EQ(outcome->failures[0].failure.in_words(), "std::out_of_range: no such row");
  EXPECT_EQ(outcome->failures[1].failure.cause, FailureCause::exited);
  EXPECT_EQ(outcome->failures[1].failure.number, 5);
}

TEST_F(SpmdEnds, of_who_is_done_disturb_nobody) {
  const auto outcome = run_spmd(4, [](Communicator& group) -> Result<unsigned> {
    // The last one to read has everything, however long the others have been gone.
    auto sum = group.all_reduce(group.rank(), std::plus<>());
    return sum;
  });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->values, std::vector<unsigned>(4, 6));
}

TEST_F(SpmdEnds, stay_the_answer_to_every_later_call) {
  const auto outcome = run_spmd(3, [](Communicator& group) -> Result<std::string> {
    if (group.rank() == victim) ::raise(SIGKILL);
    const auto first = group.barrier();
    const auto second = group.all_reduce(1, std::plus<>());
    if (first || second) return make_error(Errc::remote_error, "a barrier without rank 1");
    return first.error().code == second.error().code ? "" : second.error().to_string();
  });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->values, std::vector<std::string>(3, ""));
  EXPECT_EQ(outcome->failures.size(), 1U);
}

TEST(SpmdDisagreement, is_told_to_every_rank_with_both_calls) {
  const LeftBehind left;
  const auto outcome = run_spmd(3, [](Communicator& group) -> Result<std::string> {
    Result<void> told;
    if (group.rank() == 1) {
      told = group.barrier();
    } else {
      std::vector<double> values(10'000);
      told = group.broadcast(values, 0);
    }
    // They have not lost step.
    const auto sum = group.all_reduce(1, std::plus<>());
    if (!sum || *sum != 3) return make_error(Errc::remote_error, "no further");
    return told ? "" : told.error().to_string();
  });
  ASSERT_TRUE(outcome);
  ASSERT_TRUE(outcome->complete()) << outcome->failures[0].failure.in_words();
  for (const auto& told : outcome->values) {
    EXPECT_EQ(told, outcome->values[0]);
    EXPECT_NE(told.find("rank 0 broadcast of 10000 double, root 0,"), std::string::npos) << told;
    EXPECT_NE(told.find("rank 1 barrier"), std::string::npos) << told;
  }
  left.expect_nothing();
}

}  // namespace
}  // namespace bulkhead::test
