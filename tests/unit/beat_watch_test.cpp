// Who is silent, and who is given time again.
#include "supervisor/beat_watch.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/mapped_region.hpp"
#include "ipc/worker_pages.hpp"

namespace bulkhead::supervisor {
namespace {

class Beats : public testing::Test {
 protected:
  static constexpr TimeNs timeout = 1000;

  void SetUp() override {
    ASSERT_EQ(::ftruncate(fd_.get(), ipc::worker_page_bytes), 0);
    ASSERT_EQ(::fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
    region_ = std::move(
        *base::MappedRegion::map(fd_.get(), ipc::worker_page_bytes, base::Access::read_write));
    page().phase = static_cast<std::uint32_t>(ipc::BeatPhase::busy);
    page().beat = 7;
    ASSERT_TRUE(watch_.watch(0, 1, fd_.get(), timeout, 0));
    // Often enough not to count as having slept ourselves.
    for (TimeNs now = 1; now <= timeout; now += timeout / 4) EXPECT_TRUE(watch_.look(now).empty());
    ASSERT_EQ(watch_.look(timeout + 1).size(), 1U);
  }
  ipc::BeatPage& page() { return *reinterpret_cast<ipc::BeatPage*>(region_.data()); }

  base::UniqueFd fd_ = std::move(*base::make_memfd("beats", true));
  base::MappedRegion region_;
  bool is_stopped_ = false;
  BeatWatch watch_{[this](Slot) { return is_stopped_; }};
};

TEST_F(Beats, that_stay_out_are_reported_once) {
  EXPECT_TRUE(watch_.is_silent(0, 1));
  EXPECT_TRUE(watch_.look(timeout + 2).empty());
}

// It cannot beat, and could not wake up either.
TEST_F(Beats, of_one_that_is_stopped_in_its_sleep_stay_out_too) {
  page().phase = static_cast<std::uint32_t>(ipc::BeatPhase::idle);
  page().beat = 8;
  TimeNs now = timeout + 2;
  const auto overdue_within = [&](TimeNs span) {
    std::size_t overdue = 0;
    for (const TimeNs end = now + span; now < end; now += timeout / 4)
      overdue += watch_.look(now).size();
    return overdue;
  };
  EXPECT_EQ(overdue_within(10 * timeout), 0U) << "asleep";
  is_stopped_ = true;
  EXPECT_EQ(overdue_within(4 * timeout), 1U);
  EXPECT_TRUE(watch_.is_silent(0, 1));
  is_stopped_ = false;
  EXPECT_FALSE(watch_.is_silent(0, 1));
}

TEST_F(Beats, that_come_late_are_no_silence) {
  page().beat = 8;
  EXPECT_FALSE(watch_.is_silent(0, 1));
  page().beat = 7;
  page().phase = static_cast<std::uint32_t>(ipc::BeatPhase::idle);
  EXPECT_FALSE(watch_.is_silent(0, 1));
  EXPECT_FALSE(watch_.is_silent(0, 2)) << "another incarnation";
}

TEST_F(Beats, that_could_not_come_get_a_whole_timeout_again) {
  const TimeNs given = timeout + 100;
  watch_.give_time(0, given);
  EXPECT_TRUE(watch_.look(given + timeout / 2).empty());
  EXPECT_TRUE(watch_.look(given + timeout - 1).empty());
  EXPECT_EQ(watch_.look(given + timeout).size(), 1U);
}

}  // namespace
}  // namespace bulkhead::supervisor
