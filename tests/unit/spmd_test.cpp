// The group of a run without processes: its memory set by hand, and its ranks as threads over one mapping.
#include <bulkhead/spmd.hpp>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "pool/spmd_group.hpp"

namespace bulkhead {
namespace {

using pool::RankState;

SharedArray<std::byte> memory_of(std::uint32_t ranks) {
  return pool::make_spmd_memory(ranks, pool::spmd_piece_bytes_min).value();
}
std::shared_ptr<detail::SpmdGroup> joined(const SharedArray<std::byte>& memory,
                                          std::uint32_t rank) {
  return detail::join_group(memory, rank).value();
}
void end_rank(const SharedArray<std::byte>& memory, std::uint32_t rank, RankState state) {
  pool::mark_rank(pool::SpmdMemory(memory.span()), rank, state);
}

// Each rank a thread; what it returns, by rank.
template <class F>
auto run_threads(std::uint32_t ranks, const F& function) {
  const auto memory = memory_of(ranks);
  std::vector<std::invoke_result_t<F, Communicator&>> results(ranks, Errc::cancelled);
  std::vector<std::thread> threads;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      Communicator group(joined(memory, rank));
      results[rank] = function(group);
    });
  }
  for (auto& thread : threads) thread.join();
  return results;
}

TEST(SpmdMemory, has_pages_and_buffers_that_do_not_overlap) {
  for (const std::uint32_t ranks : {1U, 3U, 256U}) {
    const auto memory = memory_of(ranks);
    const pool::SpmdMemory view(memory.span());
    const std::byte* end = memory.span().data() + sizeof(pool::SpmdHeader);
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      const auto* const page = reinterpret_cast<const std::byte*>(&view.page(rank));
      EXPECT_EQ(page, end);
      end = page + sizeof(pool::RankPage);
    }
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      EXPECT_GE(view.half(rank, 2), end);
      EXPECT_EQ(view.half(rank, 3), view.half(rank, 2) + pool::spmd_piece_bytes_min);
      EXPECT_EQ(view.half(rank, 4), view.half(rank, 2));
      end = view.half(rank, 3) + pool::spmd_piece_bytes_min;
    }
    EXPECT_EQ(end, memory.span().data() + memory.size());
  }
}

TEST(SpmdMemory, is_not_joined_when_it_is_no_group_or_has_no_such_rank) {
  const auto memory = memory_of(3);
  EXPECT_TRUE(detail::join_group(memory, 2));
  EXPECT_TRUE(detail::join_group(memory, 3).error().is(Errc::protocol_violation));
  auto& header = pool::SpmdMemory(memory.span()).header();
  header.ranks = 4;
  EXPECT_TRUE(detail::join_group(memory, 0).error().is(Errc::protocol_violation));
  header.ranks = 3;
  header.magic = 0;
  EXPECT_TRUE(detail::join_group(memory, 0).error().is(Errc::protocol_violation));
  const auto small = SharedArray<std::byte>::create(64).value();
  EXPECT_TRUE(detail::join_group(small, 0).error().is(Errc::protocol_violation));
}

TEST(SpmdState, is_what_was_stored_first) {
  const auto memory = memory_of(2);
  end_rank(memory, 1, RankState::returned);
  end_rank(memory, 1, RankState::dead);
  Communicator group(joined(memory, 0));
  const auto met = group.barrier();
  ASSERT_FALSE(met);
  EXPECT_TRUE(met.error().is(Errc::closed)) << met.error().to_string();
  EXPECT_NE(met.error().context.find("rank 1 has returned"), std::string::npos);
}

TEST(SpmdState, says_of_each_way_to_be_gone_what_it_was) {
  const auto told = [](RankState state) {
    const auto memory = memory_of(3);
    end_rank(memory, 2, state);
    Communicator group(joined(memory, 0));
    return group.barrier().error();
  };
  EXPECT_TRUE(told(RankState::dead).is(Errc::peer_died));
  EXPECT_NE(told(RankState::dead).context.find("rank 2 died"), std::string::npos);
  EXPECT_TRUE(told(RankState::unborn).is(Errc::peer_died));
  EXPECT_TRUE(told(RankState::threw).is(Errc::closed));
  EXPECT_TRUE(told(RankState::gave_up).is(Errc::closed));
}

// The dead one had come; the one that is missing lives and computes.
TEST(SpmdState, ends_the_wait_for_the_living_when_somebody_is_dead) {
  const auto memory = memory_of(3);
  const pool::SpmdMemory view(memory.span());
  view.page(1).line.arrived.store(1);
  end_rank(memory, 1, RankState::dead);
  auto group = joined(memory, 0);
  EXPECT_TRUE(group->meet(Deadline::never()).error().is(Errc::peer_died));
}

// Everything that this step needs is there.
TEST(SpmdState, of_who_died_after_all_had_come_spoils_nothing) {
  const auto memory = memory_of(2);
  const pool::SpmdMemory view(memory.span());
  view.page(1).line.arrived.store(1);
  end_rank(memory, 1, RankState::dead);
  auto group = joined(memory, 0);
  EXPECT_TRUE(group->meet(Deadline::never()));
}

TEST(SpmdWait, ends_by_its_deadline_and_tells_the_others) {
  const auto memory = memory_of(2);
  Communicator first(joined(memory, 0)), second(joined(memory, 1));
  const auto late = first.barrier(Deadline::now());
  ASSERT_TRUE(late.error().is(Errc::timed_out)) << late.error().to_string();
  EXPECT_NE(late.error().context.find("rank 1"), std::string::npos);
  EXPECT_TRUE(second.barrier());  // the other had come
  const auto told = second.barrier();
  EXPECT_TRUE(told.error().is(Errc::closed)) << told.error().to_string();
  EXPECT_TRUE(first.barrier().error().is(Errc::timed_out));  // it takes no part any more
}

TEST(SpmdWait, ends_by_a_stop) {
  const auto memory = memory_of(2);
  Communicator group(joined(memory, 0));
  StopFlag stop;
  stop.raise();
  EXPECT_TRUE(group.barrier(Deadline::never().unless(stop)).error().is(Errc::stopped));
}

TEST(SpmdWait, of_a_sleeper_is_ended_by_a_death) {
  const auto memory = memory_of(3);
  std::vector<Result<void>> told(2, Result<void>());
  std::vector<std::thread> threads;
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      Communicator group(joined(memory, rank));
      told[rank] = group.barrier();
    });
  }
  const pool::SpmdMemory view(memory.span());
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    while (view.page(rank).line.asleep.load() == 0) std::this_thread::yield();
  }
  end_rank(memory, 2, RankState::dead);
  for (auto& thread : threads) thread.join();
  for (const auto& each : told) EXPECT_TRUE(each.error().is(Errc::peer_died));
}

TEST(SpmdThreads, stay_in_step_over_many_collectives) {
  constexpr int rounds = 400;
  const auto results = run_threads(3, [](Communicator& group) -> Result<long> {
    long sum = 0;
    for (int i = 0; i < rounds; ++i) {
      const auto all = group.all_reduce(long{i} + group.rank(), std::plus<>());
      if (!all) return all.error();
      sum += *all;
      const auto one = group.broadcast(sum, static_cast<unsigned>(i) % group.size());
      if (!one) return one.error();
      if (*one != sum) return make_error(Errc::remote_error, "another sum");
    }
    return sum;
  });
  for (const auto& result : results) EXPECT_EQ(result.value(), 3L * rounds * (rounds - 1) / 2 + 3L * rounds);
}

TEST(SpmdThreads, move_what_is_longer_than_a_piece) {
  const auto results = run_threads(3, [](Communicator& group) -> Result<bool> {
    const std::size_t count = 3001;  // of 8 bytes, in pieces of 4096
    std::vector<std::uint64_t> mine(count), all(count * group.size());
    std::iota(mine.begin(), mine.end(), group.rank() * count);
    if (auto done = group.all_gather(mine, all); !done) return done.error();
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i] != i) return false;
    }
    std::vector<std::uint64_t> back(all.size());
    if (auto done = group.all_to_all(all, back); !done) return done.error();
    for (std::size_t i = 0; i < back.size(); ++i) {
      if (back[i] != group.rank() * count + i % count) return false;
    }
    return true;
  });
  for (const auto& result : results) EXPECT_TRUE(result.value());
}

TEST(SpmdMismatch, names_two_ranks_and_what_they_called_and_is_not_the_end) {
  const auto results = run_threads(3, [](Communicator& group) -> Result<std::string> {
    const auto told = group.rank() == 2 ? group.barrier()
                                        : Result<void>(group.all_reduce(1.5, std::plus<>())
                                                           ? Result<void>()
                                                           : group.all_reduce(1.5, std::plus<>()).error());
    if (told) return make_error(Errc::remote_error, "it went well");
    return told.error().to_string();
  });
  (void)results;
}

}  // namespace
}  // namespace bulkhead
