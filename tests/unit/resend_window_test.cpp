// The window of a sender over sockets: what it keeps, what it gives to a connection, what frees its room.
#include "ipc/resend_window.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace bulkhead::ipc {
namespace {

class ResendWindowTest : public testing::Test {
 protected:
  bool commit(std::string_view text) { return window_.push(std::as_bytes(std::span(text))); }
  // What a connection is given until it has all.
  std::string give_all() {
    std::string given;
    while (const auto record = window_.next_unsent()) {
      given +=
          std::to_string(record->index) + ":" +
          std::string(reinterpret_cast<const char*>(record->bytes.data()), record->bytes.size()) +
          " ";
      last_end_ = record->end;
      window_.mark_sent();
    }
    return given;
  }

  Segment segment_ = std::move(
      *Segment::create({.name = "window", .epoch = 1, .ring_capacity = 4096, .base_index = 10}));
  ResendWindow window_{segment_};
  std::uint64_t last_end_ = 0;
};

TEST_F(ResendWindowTest, gives_each_record_once_to_a_connection_and_numbers_on) {
  commit("a");
  commit("b");
  EXPECT_EQ(give_all(), "11:a 12:b ");
  EXPECT_EQ(give_all(), "");
  commit("c");
  EXPECT_EQ(give_all(), "13:c ");
  EXPECT_EQ(window_.count(), 13U);
}

TEST_F(ResendWindowTest, shows_the_same_record_until_it_is_sent) {
  commit("a");
  EXPECT_EQ(window_.next_unsent()->index, 11U);
  EXPECT_EQ(window_.next_unsent()->index, 11U);
}

TEST_F(ResendWindowTest, gives_a_new_connection_everything_that_is_not_acknowledged) {
  commit("a");
  commit("b");
  static_cast<void>(give_all());
  const auto end_of_b = last_end_;
  commit("c");
  static_cast<void>(give_all());
  EXPECT_TRUE(window_.reclaim(end_of_b));
  window_.rewind();
  EXPECT_EQ(give_all(), "13:c ");
}

TEST_F(ResendWindowTest,
       refuses_an_acknowledgement_inside_a_record_behind_the_last_or_ahead_of_all) {
  commit(std::string(100, 'a'));
  commit("b");
  static_cast<void>(give_all());
  EXPECT_FALSE(window_.reclaim(64));              // the second line of the first record
  EXPECT_FALSE(window_.reclaim(last_end_ + 64));  // never committed
  EXPECT_TRUE(window_.reclaim(last_end_));
  EXPECT_FALSE(window_.reclaim(last_end_ - 64));  // back
  EXPECT_TRUE(window_.reclaim(last_end_));        // said again
}

TEST_F(ResendWindowTest, is_full_until_something_is_acknowledged_and_goes_round_for_many_laps) {
  const std::string message(700, 'm');
  std::uint64_t next = 11;
  for (int lap = 0; lap < 50; ++lap) {
    while (commit(message)) {
    }
    EXPECT_FALSE(window_.has_room(message.size()));
    const auto first = window_.next_unsent();
    ASSERT_TRUE(first);
    EXPECT_EQ(first->index, next);
    static_cast<void>(give_all());
    next = window_.count() + 1;
    ASSERT_TRUE(window_.reclaim(last_end_));
    EXPECT_TRUE(window_.has_room(message.size()));
  }
}

TEST_F(ResendWindowTest, has_room_for_the_largest_message_at_every_offset) {
  EXPECT_EQ(ResendWindow::bytes_for(4096, 1), 4096U);
  EXPECT_EQ(ResendWindow::bytes_for(5000, 1), 8192U);
  EXPECT_EQ(ResendWindow::bytes_for(4096, 4096), 16384U);
  for (const std::size_t most : {std::size_t{1}, std::size_t{2016}, std::size_t{65536}}) {
    EXPECT_GE(payload_bytes_max(ResendWindow::bytes_for(4096, most)), most);
  }
}

}  // namespace
}  // namespace bulkhead::ipc
