// The runtime of real worker processes against a brain that the test plays.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/support/stage.hpp"

namespace bulkhead::test {
namespace {

using base::Exited;
using base::ExitStatus;
using base::Signaled;

Cast ticker(std::uint64_t rate_hz = 0) {
  return {
      "ticker.0", {program("ticker-worker")}, {{"link", "ticks"}, {"rate_hz", rate_hz}}, {}, {}};
}
Cast sink() {
  return {
      "sink.0", {program("sink-worker")}, {{"link", "ticks"}, {"report_every", "50ms"}}, {}, {}};
}

// The figure that a status shows under a name.
std::uint64_t figure(const std::string& status, const std::string& name) {
  const auto at = status.find(name + "=");
  return at == std::string::npos ? 0 : std::stoull(status.substr(at + name.size() + 1));
}

TEST(WorkerRuntime, says_hello_becomes_ready_and_leaves_with_zero_when_it_is_stopped) {
  Stage stage;
  stage.start({"math.0", {program("math-worker")}, ipc::Json::object(), {"math"}, {}});
  ASSERT_TRUE(stage.until_ready("math.0"));
  stage.stop("math.0");
  EXPECT_EQ(stage.end("math.0"), ExitStatus(Exited{0}));
}

TEST(WorkerRuntime, takes_sigterm_for_a_stop) {
  Stage stage;
  stage.start({"math.0", {program("math-worker")}, ipc::Json::object(), {"math"}, {}});
  ASSERT_TRUE(stage.until_ready("math.0"));
  EXPECT_EQ(stage.kill("math.0", SIGTERM), ExitStatus(Exited{0}));
}

class OverEachTransport : public testing::TestWithParam<Transport> {};
INSTANTIATE_TEST_SUITE_P(Transports, OverEachTransport,
                         testing::Values(Transport::shm, Transport::unix_socket, Transport::tcp,
                                         Transport::pipe),
                         [](const auto& each) { return std::string(to_string(each.param)); });

TEST_P(OverEachTransport, a_link_carries_messages_in_order_and_whole) {
  Stage stage;
  stage.link("ticks", GetParam(), "ticker.0", "sink.0");
  stage.start(ticker());
  auto& receiver = stage.start(sink());
  ASSERT_TRUE(stage.until([&] { return figure(receiver.status, "delivered") > 10'000; }));
  EXPECT_EQ(figure(receiver.status, "gaps"), 0U) << receiver.status;
  EXPECT_EQ(figure(receiver.status, "torn"), 0U) << receiver.status;
  EXPECT_EQ(figure(receiver.status, "unexpected"), 0U) << receiver.status;
}

}  // namespace
}  // namespace bulkhead::test
