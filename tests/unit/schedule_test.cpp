// The policies in virtual time: who runs when, on one processor or two.
#include "pool/schedule.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace bulkhead::pool {
namespace {

using namespace std::chrono_literals;
using Span = Schedule::Span;
using Time = Schedule::Time;

struct Arrival {
  char name;
  Span at, length;
  int priority = 0;
  bool told = true;  // how long it takes
};

// What the dispatcher does, without processes: hands out processors until everything has ended.
class Machine {
 public:
  Machine(Scheduling how, unsigned processors) : schedule_(how), processors_(processors) {}

  // Who ran in each millisecond, on the first processor and on the others.
  std::string run(const std::vector<Arrival>& arrivals) {
    std::string told;
    for (now_ = Time(1h); ended_ < arrivals.size(); now_ += 1ms) {
      for (const auto& arrival : arrivals) {
        if (Time(1h) + arrival.at == now_) add(arrival);
      }
      deal();
      for (const auto number : on_) {
        told += static_cast<char>(number);
        left_[number] -= 1ms;
      }
      if (on_.empty()) told += '.';
      end_those_done();
    }
    return told;
  }

 private:
  void add(const Arrival& arrival) {
    const auto number = static_cast<std::uint64_t>(arrival.name);
    left_[number] = arrival.length;
    schedule_.add({.number = number,
                   .function = 1,
                   .priority = arrival.priority,
                   .expected = arrival.told ? arrival.length : Span(0)},
                  now_);
  }
  void deal() {
    while (const auto next = schedule_.next(Schedule::Among::all, now_)) {
      if (on_.size() == processors_) {
        const auto loser = schedule_.gives_way_to(*next, now_);
        if (!loser) return;
        schedule_.set_aside(*loser, now_);
        std::erase(on_, *loser);
      }
      schedule_.put_on(*next, now_);
      on_.push_back(*next);
    }
  }
  void end_those_done() {
    for (auto each = on_.begin(); each != on_.end();) {
      if (left_.at(*each) > 0ms) {
        ++each;
        continue;
      }
      schedule_.learn_from(*each, now_ + 1ms);
      schedule_.remove(*each, now_ + 1ms);
      ++ended_;
      left_.erase(*each);
      each = on_.erase(each);
    }
  }

  Schedule schedule_;
  const unsigned processors_;
  Time now_{};
  std::vector<std::uint64_t> on_;
  std::map<std::uint64_t, Span> left_;
  std::size_t ended_ = 0;
};

std::string ran(SchedulingPolicy policy, const std::vector<Arrival>& arrivals,
                unsigned processors = 1) {
  return Machine({.policy = policy, .quantum = 2ms, .aging = 5ms}, processors).run(arrivals);
}

const std::vector<Arrival> mixed{{'a', 0ms, 6ms}, {'b', 1ms, 3ms}, {'c', 2ms, 1ms}};

TEST(PoolPolicy, first_come_is_first_served) {
  EXPECT_EQ(ran(SchedulingPolicy::first_come, mixed), "aaaaaabbbc");
}

TEST(PoolPolicy, first_come_puts_the_priority_first) {
  EXPECT_EQ(
      ran(SchedulingPolicy::first_come, {{'a', 0ms, 2ms}, {'b', 1ms, 2ms}, {'c', 1ms, 1ms, 1}}),
      "aacbb");
}

TEST(PoolPolicy, the_shortest_is_next_but_waits_for_who_runs) {
  EXPECT_EQ(ran(SchedulingPolicy::shortest_next, mixed), "aaaaaacbbb");
}

TEST(PoolPolicy, who_has_least_left_runs_at_once) {
  EXPECT_EQ(ran(SchedulingPolicy::shortest_remaining, mixed), "abcbbaaaaa");
}

TEST(PoolPolicy, the_length_of_who_was_not_told_is_learnt_from_its_function) {
  // x tells that the function takes 4 ms: so b, which says 2 ms, goes before a.
  const std::vector<Arrival> arrivals{{'x', 0ms, 4ms, 0, false},
                                      {'a', 1ms, 4ms, 0, false},
                                      {'b', 2ms, 2ms},
                                      {'y', 3ms, 1ms, 0, false}};
  // a and y were queued when nothing was known, which puts them first.
  EXPECT_EQ(ran(SchedulingPolicy::shortest_next, arrivals), "xxxxaaaaybb");
  const std::vector<Arrival> later{
      {'x', 0ms, 4ms, 0, false}, {'w', 4ms, 3ms}, {'a', 5ms, 4ms, 0, false}, {'b', 6ms, 2ms}};
  EXPECT_EQ(ran(SchedulingPolicy::shortest_next, later), "xxxxwwwbbaaaa");
}

TEST(PoolPolicy, round_robin_gives_each_a_quantum) {
  EXPECT_EQ(ran(SchedulingPolicy::round_robin, mixed), "aabbcaabaa");
}

TEST(PoolPolicy, round_robin_leaves_who_is_alone_in_peace) {
  EXPECT_EQ(ran(SchedulingPolicy::round_robin, {{'a', 0ms, 5ms}, {'b', 7ms, 1ms}}), "aaaaa..b");
}

TEST(PoolPolicy, feedback_sends_the_long_ones_down) {
  // a goes down after each quantum, and those are 2, 4, 8 ms; b comes in at the top.
  EXPECT_EQ(ran(SchedulingPolicy::feedback, {{'a', 0ms, 9ms}, {'b', 1ms, 4ms}, {'c', 11ms, 1ms}}),
            "aabbaaaabbacaa");
}

TEST(PoolPolicy, feedback_lifts_all_after_a_while) {
  // 50 quanta of 2 ms: one long task, and short ones that keep coming and would keep it from ever running again.
  std::vector<Arrival> arrivals{{'a', 0ms, 40ms}};
  for (int i = 0; i < 70; ++i)
    arrivals.push_back({static_cast<char>('!' + i + (i >= 64 ? 1 : 0)), i * 2ms, 2ms});
  const std::string told = ran(SchedulingPolicy::feedback, arrivals);
  const auto first_pause = told.find("a", told.find_first_not_of('a'));
  EXPECT_LT(first_pause, 110U) << told;
}

TEST(PoolPolicy, a_priority_grows_with_the_wait) {
  // b is behind by one step, which is a wait of 5 ms: it goes before those that came so much later.
  const std::vector<Arrival> arrivals{{'a', 0ms, 4ms, 1},
                                      {'b', 0ms, 1ms, 0},
                                      {'c', 3ms, 4ms, 1},
                                      {'d', 6ms, 2ms, 1},
                                      {'e', 7ms, 2ms, 1}};
  EXPECT_EQ(ran(SchedulingPolicy::priority_aging, arrivals), "aaaaccccbddee");
}

TEST(PoolPolicy, deals_to_as_many_as_there_are_processors) {
  EXPECT_EQ(
      ran(SchedulingPolicy::first_come, {{'a', 0ms, 2ms}, {'b', 0ms, 2ms}, {'c', 0ms, 2ms}}, 2),
      "ababcc");
  EXPECT_EQ(ran(SchedulingPolicy::shortest_remaining,
                {{'a', 0ms, 3ms}, {'b', 0ms, 4ms}, {'c', 1ms, 1ms}}, 2),
            "abacabbb");
}

class PoolTurns : public testing::Test {
 protected:
  static Time at(int ms) { return Time(1h) + std::chrono::milliseconds(ms); }
  Schedule schedule_{{.policy = SchedulingPolicy::round_robin, .quantum = 2ms, .trace = true}};
};

TEST_F(PoolTurns, are_kept_with_their_processor) {
  schedule_.add({.number = 1}, at(0));
  schedule_.add({.number = 2}, at(0));
  schedule_.put_on(1, at(0));
  schedule_.put_on(2, at(1));
  schedule_.set_aside(1, at(2));
  schedule_.put_on(1, at(3));
  schedule_.remove(2, at(4));
  schedule_.remove(1, at(5));
  const auto& trace = schedule_.trace();
  ASSERT_EQ(trace.size(), 3U);
  EXPECT_EQ(trace[0].task, 1U);
  EXPECT_EQ(trace[0].begin, at(0));
  EXPECT_EQ(trace[0].end, at(2));
  EXPECT_EQ(trace[0].processor, 0U);
  EXPECT_EQ(trace[1].processor, 1U);
  EXPECT_EQ(trace[2].processor, 0U);
}

TEST_F(PoolTurns, among_those_set_aside_leave_out_who_never_ran) {
  schedule_.add({.number = 1}, at(0));
  EXPECT_EQ(schedule_.next(Schedule::Among::set_aside, at(0)), std::nullopt);
  schedule_.put_on(1, at(0));
  schedule_.add({.number = 2}, at(1));
  schedule_.set_aside(1, at(2));
  EXPECT_EQ(schedule_.next(Schedule::Among::all, at(2)), 2U);
  EXPECT_EQ(schedule_.next(Schedule::Among::set_aside, at(2)), 1U);
}

TEST_F(PoolTurns, end_when_somebody_waits_and_not_before) {
  schedule_.add({.number = 1}, at(0));
  schedule_.put_on(1, at(0));
  EXPECT_EQ(schedule_.next_change(at(1)), std::nullopt);
  schedule_.add({.number = 2}, at(1));
  EXPECT_EQ(schedule_.next_change(at(1)), at(2));
  EXPECT_EQ(schedule_.gives_way_to(2, at(1)), std::nullopt);
  EXPECT_EQ(schedule_.gives_way_to(2, at(2)), 1U);
}

TEST_F(PoolTurns, never_end_where_nobody_may_be_stopped) {
  Schedule schedule({.policy = SchedulingPolicy::round_robin, .quantum = 2ms, .stopped_max = 0});
  schedule.add({.number = 1}, at(0));
  schedule.put_on(1, at(0));
  schedule.add({.number = 2}, at(0));
  EXPECT_FALSE(schedule.preempts());
  EXPECT_EQ(schedule.next_change(at(9)), std::nullopt);
  EXPECT_EQ(schedule.gives_way_to(2, at(9)), std::nullopt);
}

TEST_F(PoolTurns, of_who_lost_its_worker_begin_again_where_it_stood) {
  for (const auto policy : {SchedulingPolicy::first_come, SchedulingPolicy::priority_aging,
                            SchedulingPolicy::shortest_next}) {
    Schedule schedule({.policy = policy});
    schedule.add({.number = 1}, at(0));
    schedule.put_on(1, at(0));
    schedule.add({.number = 2}, at(1));
    schedule.add({.number = 1}, at(2));
    EXPECT_EQ(schedule.next(Schedule::Among::all, at(2)), 1U) << to_string(policy);
  }
}

TEST_F(PoolTurns, of_an_impossible_expectation_are_the_next) {
  Schedule schedule({.policy = SchedulingPolicy::shortest_remaining});
  schedule.add({.number = 1, .expected = Span(1)}, at(0));
  schedule.add({.number = 2, .expected = Span::min()}, at(0));
  EXPECT_EQ(schedule.next(Schedule::Among::all, at(0)), 2U);
  schedule.put_on(2, at(0));
  EXPECT_EQ(schedule.gives_way_to(1, at(5)), std::nullopt);
}

TEST_F(PoolTurns, of_who_is_unknown_change_nothing) {
  schedule_.put_on(7, at(0));
  schedule_.set_aside(7, at(0));
  schedule_.learn_from(7, at(0));
  schedule_.remove(7, at(0));
  EXPECT_EQ(schedule_.next(Schedule::Among::all, at(0)), std::nullopt);
  EXPECT_TRUE(schedule_.trace().empty());
}

}  // namespace
}  // namespace bulkhead::pool
