// The group of a run without processes: its memory set by hand, and its ranks as threads over one mapping.
#include <gtest/gtest.h>
#include <bulkhead/spmd.hpp>

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
  using R = std::invoke_result_t<F, Communicator&>;
  std::vector<R> results(ranks, R(make_error(Errc::cancelled, "has not run")));
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
  for (const auto& result : results)
    EXPECT_EQ(result.value(), 3L * rounds * (rounds - 1) / 2 + 3L * rounds);
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

// What three ranks are told when rank 2 calls something else; and whether they can go on.
template <class Usual, class Other>
std::string told_of_mismatch(const Usual& usual, const Other& other) {
  const auto results = run_threads(3, [&](Communicator& group) -> Result<std::string> {
    const Error error = group.rank() == 2 ? other(group).error() : usual(group).error();
    if (!error.is(Errc::protocol_violation)) return error;
    if (auto sum = group.all_reduce(1, std::plus<>()); !sum || *sum != 3) return sum.error();
    return error.context;
  });
  for (const auto& result : results) {
    EXPECT_TRUE(result) << result.error().to_string();
    if (result && results[0]) {
      EXPECT_EQ(*result, *results[0]);
    }
  }
  return results[0] ? *results[0] : "";
}

TEST(SpmdMismatch, of_kinds_names_two_ranks_and_what_they_called_and_is_not_the_end) {
  const auto told =
      told_of_mismatch([](Communicator& group) { return group.all_reduce(1.5, std::plus<>()); },
                       [](Communicator& group) { return group.barrier(); });
  EXPECT_EQ(told,
            "the ranks called different things: rank 0 all_reduce of 1 double with "
            "std::plus<void> as its call 1, rank 2 barrier as its call 1");
}

TEST(SpmdMismatch, of_types_sizes_operations_and_roots_is_seen) {
  const auto sum = [](Communicator& group) { return group.all_reduce(1, std::plus<>()); };
  EXPECT_NE(
      told_of_mismatch(sum, [](Communicator& group) { return group.all_reduce(1U, std::plus<>()); })
          .find("unsigned int"),
      std::string::npos);
  EXPECT_NE(told_of_mismatch(
                sum, [](Communicator& group) { return group.all_reduce(1, std::multiplies<>()); })
                .find("std::multiplies<void>"),
            std::string::npos);
  const auto of = [](std::size_t count, unsigned root) {
    return [=](Communicator& group) {
      std::vector<int> values(count);
      return group.broadcast(values, root);
    };
  };
  EXPECT_NE(told_of_mismatch(of(2000, 0), of(2001, 0)).find("2001 int"), std::string::npos);
  EXPECT_NE(told_of_mismatch(of(2, 0), of(2, 1)).find("root 1"), std::string::npos);
  EXPECT_NE(told_of_mismatch(of(0, 0), of(1, 0)).find("0 int"), std::string::npos);
}

struct Long {
  int value = 0;
};
// The names of the two operations differ at their end only.
TEST(SpmdMismatch, of_long_names_is_seen_beyond_what_is_kept_of_them) {
  const auto first = [](const Long& a, const Long&) { return a; };
  const auto second = [](const Long& a, const Long&) { return a; };
  EXPECT_NE(told_of_mismatch([&](Communicator& group) { return group.scan(Long(), first); },
                             [&](Communicator& group) { return group.scan(Long(), second); }),
            "");
}

TEST(SpmdMismatch, of_arguments_that_cannot_be_is_told_to_all) {
  const auto results = run_threads(2, [](Communicator& group) -> Result<std::string> {
    std::vector<int> one(1), all(group.rank() == 0 ? 3 : 2);
    const auto done = group.all_gather(one, all);
    if (!group.barrier()) return make_error(Errc::remote_error, "no further");
    return done.error().to_string();
  });
  EXPECT_NE(results[0].value().find("room for 3 elements, where 2 come"), std::string::npos)
      << *results[0];
  EXPECT_NE(results[1].value().find("rank 0 something with arguments that it was refused"),
            std::string::npos)
      << *results[1];
}

TEST(SpmdMismatch, is_none_where_all_pass_a_root_that_is_none) {
  const auto results = run_threads(2, [](Communicator& group) { return group.broadcast(1, 2); });
  for (const auto& result : results) EXPECT_TRUE(result.error().is(Errc::invalid_argument));
}

TEST(SpmdThreads, hear_of_an_operation_that_throws) {
  const auto results = run_threads(2, [](Communicator& group) -> Result<void> {
    const bool throws = group.rank() == 1;
    try {
      auto sum = group.all_reduce(1, [throws](int a, int b) {
        if (throws) throw std::runtime_error("no sum");
        return a + b;
      });
      if (!sum) return sum.error();
    } catch (const std::runtime_error&) {
      return group.barrier();
    }
    return group.barrier();
  });
  EXPECT_TRUE(results[0].error().is(Errc::closed));
  EXPECT_NE(results[0].error().context.find("rank 1 ended by an exception"), std::string::npos);
  EXPECT_TRUE(results[1].error().is(Errc::closed));
}

}  // namespace
}  // namespace bulkhead
