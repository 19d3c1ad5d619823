// Ticker and sink over each transport, while either is killed: what must not be lost is not, and
// what is lost is counted.
#include <gtest/gtest.h>

#include "tests/support/stage.hpp"

namespace bulkhead::test {
namespace {

class Stream : public testing::TestWithParam<Transport> {
 protected:
  void SetUp() override {
    stage.link("ticks", GetParam(), "ticker.0", "sink.0");
    stage.start(
        {"ticker.0", {program("ticker-worker")}, {{"link", "ticks"}, {"rate_hz", 0}}, {}, {}});
    stage.start({"sink.0",
                 {program("sink-worker")},
                 {{"link", "ticks"}, {"report_every", "20ms"}},
                 {},
                 {}});
  }
  std::uint64_t count(const std::string& name) {
    return figure(stage.actor("sink.0").status, name);
  }
  const std::string& status() { return stage.actor("sink.0").status; }
  [[nodiscard]] bool until_delivered(std::uint64_t more) {
    return stage.until([&] { return count("delivered") >= more; });
  }
  // A link keeps what is committed, whoever dies, and numbers on.
  void expect_whole() {
    EXPECT_EQ(count("gaps"), 0U) << status();
    EXPECT_EQ(count("torn"), 0U) << status();
    EXPECT_EQ(count("unexpected"), 0U) << status();
  }

  Stage stage;
};
INSTANTIATE_TEST_SUITE_P(Transports, Stream,
                         testing::Values(Transport::shm, Transport::unix_socket, Transport::tcp,
                                         Transport::pipe),
                         [](const auto& each) { return std::string(to_string(each.param)); });

TEST_P(Stream, carries_messages_in_order_and_whole) {
  ASSERT_TRUE(until_delivered(10'000));
  expect_whole();
}

TEST_P(Stream, goes_on_without_a_gap_after_the_death_of_the_sink) {
  std::uint64_t next = 0;
  for (int death = 0; death < 5; ++death) {
    ASSERT_TRUE(until_delivered(2'000));
    EXPECT_GT(count("next"), next);
    next = count("next");
    stage.kill("sink.0");
    stage.restart("sink.0");
    ASSERT_TRUE(until_delivered(2'000));
    expect_whole();
  }
}

TEST_P(Stream, goes_on_with_the_next_number_after_the_death_of_the_ticker) {
  for (int death = 0; death < 5; ++death) {
    ASSERT_TRUE(until_delivered(count("delivered") + 2'000));
    stage.kill("ticker.0");
    stage.restart("ticker.0");
    ASSERT_TRUE(until_delivered(count("delivered") + 2'000));
  }
  expect_whole();
}

TEST_P(Stream, is_not_closed_by_an_orderly_restart_of_either_end) {
  for (const char* const name : {"sink.0", "ticker.0", "sink.0"}) {
    ASSERT_TRUE(until_delivered(count("delivered") + 1'000));
    stage.stop(name);
    EXPECT_EQ(stage.end(name), base::ExitStatus(base::Exited{0}));
    stage.restart(name);
  }
  ASSERT_TRUE(until_delivered(1'000));
  EXPECT_EQ(stage.actor("ticker.0").generation, 2U);
  EXPECT_EQ(stage.actor("sink.0").generation, 3U);
  expect_whole();
}

TEST_P(Stream, survives_the_death_of_both_ends_and_the_brain_at_once) {
  ASSERT_TRUE(until_delivered(2'000));
  stage.kill("ticker.0");
  stage.kill("sink.0");
  stage.lose_brain();
  stage.recover_brain();
  stage.restart("sink.0");
  stage.restart("ticker.0");
  ASSERT_TRUE(until_delivered(2'000));
  expect_whole();
}

}  // namespace
}  // namespace bulkhead::test
