// The core put to work: what comes of an event at once, and what is put off.
#include "supervisor/supervision.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/clock.hpp"

namespace bulkhead::supervisor {
namespace {

Plan many(std::uint32_t instances) {
  SystemConfig config;
  WorkerConfig worker;
  worker.name = "many";
  worker.instances = instances;
  config.workers.push_back(worker);
  return make_plan(config);
}

// Starts take a moment each, and what was started is ready at once.
class Starts : public testing::Test {
 protected:
  static constexpr std::uint32_t count = 100;

  Supervision::Shell shell() {
    return {[this](Slot slot, Generation generation) {
              const auto begin = base::monotonic_ns();
              while (base::monotonic_ns() - begin < 1'000'000) {
              }
              ++started_;
              supervision_.apply(Started{slot, generation, static_cast<std::int32_t>(slot) + 100});
            },
            [](Slot) {},
            [](Slot) {},
            [](Slot) {},
            [](const Announce&) {},
            [](int) {},
            [] {},
            [this] { ++put_off_; },
            [](const Promote&) { ADD_FAILURE() << "there are no spares"; }};
  }

  base::UniqueFd memory_ = std::move(*StateRegion::create());
  StateRegion region_ = std::move(*StateRegion::map(memory_.get()));
  Plan plan_ = many(count);
  std::uint32_t started_ = 0, put_off_ = 0;
  Supervision supervision_{plan_, region_, SystemRecord{}, shell()};
};

TEST_F(Starts, of_very_many_leave_time_for_everything_else) {
  supervision_.begin(std::vector<Living>(count), true, base::monotonic_ns());
  EXPECT_LT(started_, count);
  ASSERT_EQ(put_off_, 1U);
  for (std::uint32_t i = 1; i <= put_off_; ++i) supervision_.go_on();
  EXPECT_EQ(started_, count);
  EXPECT_GT(put_off_, 1U);
  for (Slot slot = 0; slot < count; ++slot) {
    EXPECT_EQ(supervision_.instance(slot).status, InstanceStatus::ready) << slot;
  }
}

// One that has died before anybody looks is known by then.
TEST_F(Starts, that_were_tried_are_known_at_once) {
  supervision_.begin(std::vector<Living>(count), true, base::monotonic_ns());
  ASSERT_GT(started_, 0U);
  for (Slot slot = 0; slot < started_; ++slot) {
    EXPECT_NE(supervision_.instance(slot).pid, 0) << slot;
  }
}

TEST_F(Starts, that_are_put_off_do_not_put_off_what_comes_from_outside) {
  supervision_.begin(std::vector<Living>(count), true, base::monotonic_ns());
  ASSERT_LT(started_, count);
  supervision_.apply(WantDown{0});
  EXPECT_EQ(supervision_.instance(0).status, InstanceStatus::stopping);
  supervision_.apply(WantDown{count - 1});
  EXPECT_EQ(supervision_.instance(count - 1).status, InstanceStatus::disabled);
  while (started_ + 1 < count) supervision_.go_on();
  EXPECT_EQ(supervision_.instance(count - 2).status, InstanceStatus::ready);
}

// What the shell is told, in its order.
TEST(Promotions, come_after_the_sweep_and_before_the_news_of_the_death) {
  SystemConfig config;
  WorkerConfig worker;
  worker.name = "echo";
  worker.warm_spares = 1;
  config.workers.push_back(worker);
  const Plan plan = make_plan(config);
  const auto memory = std::move(*StateRegion::create());
  auto region = std::move(*StateRegion::map(memory.get()));
  std::vector<std::string> told;
  Supervision* supervision = nullptr;
  Supervision::Shell shell;
  shell.spawn = [&](Slot slot, Generation generation) {
    supervision->apply(Started{slot, generation, static_cast<std::int32_t>(slot) + 100});
  };
  shell.sweep = [&](Slot) { told.emplace_back("sweep"); };
  shell.announce = [&](const Announce& what) { told.emplace_back(to_string(what.type)); };
  shell.promote = [&](const Promote& wanted) {
    told.emplace_back("promote");
    supervision->apply(
        Promoted{wanted.slot, wanted.generation, 101, wanted.spare, wanted.spare_generation});
  };
  shell.changed = [] {};
  Supervision under_test(plan, region, SystemRecord{}, shell);
  supervision = &under_test;
  under_test.begin(std::vector<Living>(2), true, base::monotonic_ns());
  under_test.apply(BecameReady{1, 1});
  told.clear();
  under_test.apply(Exited{0, 1, ExitKind::signal, 9});
  const std::vector<std::string> first(told.begin(), told.begin() + 6);
  EXPECT_EQ(first, (std::vector<std::string>{"sweep", "promote", "exited", "starting", "promoted",
                                             "ready"}));
  EXPECT_EQ(under_test.instance(0).pid, 101);
}

}  // namespace
}  // namespace bulkhead::supervisor
