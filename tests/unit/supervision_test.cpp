// The core put to work: what comes of an event at once, and what is put off.
#include "supervisor/supervision.hpp"

#include <gtest/gtest.h>

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
            [this] { ++put_off_; }};
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

}  // namespace
}  // namespace bulkhead::supervisor
