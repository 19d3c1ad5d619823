// The runtime of real worker processes against a brain that the test plays: hello, links, stop, the end
// of supervisors.
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/support/stage.hpp"

namespace bulkhead::test {
namespace {

using base::Exited;
using base::ExitStatus;
using base::Signaled;

Cast math() { return {"math.0", {program("math-worker")}, ipc::Json::object(), {"math"}, {}}; }

Cast ticker() {
  return {"ticker.0", {program("ticker-worker")}, {{"link", "ticks"}, {"rate_hz", 0}}, {}, {}};
}

Cast sink() {
  return {
      "sink.0", {program("sink-worker")}, {{"link", "ticks"}, {"report_every", "20ms"}}, {}, {}};
}

TEST(WorkerRuntime, says_hello_becomes_ready_and_leaves_with_zero_when_it_is_stopped) {
  Stage stage;
  stage.start(math());
  ASSERT_TRUE(stage.until_ready("math.0"));
  stage.stop("math.0");
  EXPECT_EQ(stage.end("math.0"), ExitStatus(Exited{0}));
}

TEST(WorkerRuntime, takes_sigterm_for_a_stop) {
  Stage stage;
  stage.start(math());
  ASSERT_TRUE(stage.until_ready("math.0"));
  EXPECT_EQ(stage.kill("math.0", SIGTERM), ExitStatus(Exited{0}));
}

TEST(WorkerRuntime, ends_at_once_when_keeper_and_brain_are_gone) {
  Stage stage;
  auto& worker = stage.start(math());
  ASSERT_TRUE(stage.until_ready("math.0"));
  worker.control.reset();
  EXPECT_EQ(stage.end("math.0"), ExitStatus(Exited{1}));
  EXPECT_TRUE(worker.prints("the supervisor is gone")) << worker.printed;
}

TEST(WorkerRuntime, says_without_a_supervisor_that_it_needs_one) {
  base::SpawnPlan plan;
  plan.executable = program("math-worker");
  plan.argv = {"math-worker"};
  auto output = base::make_pipe().value();
  plan.errors = output.second.get();
  base::ChildProcess child(base::spawn(plan).value(), base::ChildProcess::OnDestroy::kill);
  EXPECT_EQ(child.wait(Deadline::in(std::chrono::seconds(30))).value(), ExitStatus(Exited{64}));
}

TEST(WorkerRuntime, ends_with_78_on_a_config_that_it_does_not_understand) {
  Stage stage;
  auto cast = ticker();
  cast.config = {{"rate_hzz", 5}};
  auto& worker = stage.start(cast);
  EXPECT_EQ(stage.end("ticker.0"), ExitStatus(Exited{78}));
  EXPECT_TRUE(worker.prints("did you mean \"rate_hz\"")) << worker.printed;
}

TEST(WorkerRuntime, names_the_links_that_there_are_when_one_is_unknown) {
  Stage stage;
  stage.link("ticks", Transport::shm, "ticker.0", "sink.0");
  auto cast = ticker();
  cast.config = {{"link", "tocks"}};
  auto& worker = stage.start(cast);
  EXPECT_EQ(stage.end("ticker.0"), ExitStatus(Exited{1}));
  EXPECT_TRUE(worker.prints("link \"tocks\" does not reach this worker (it has: ticks)"))
      << worker.printed;
}

TEST(WorkerRuntime, is_idle_while_it_sleeps_and_busy_while_it_spins) {
  Stage stage;
  auto& sleeper = stage.start(math());
  const auto phase = [](const Actor& actor) {
    return static_cast<ipc::BeatPhase>(actor.beat_page().phase.load());
  };
  ASSERT_TRUE(stage.until([&] { return sleeper.ready && phase(sleeper) == ipc::BeatPhase::idle; }));
  EXPECT_EQ(sleeper.beat_page().magic.load(), ipc::BeatPage::magic_value);

  auto& spinner = stage.start(
      {"crash.0", {program("crash-worker")}, {{"mode", "spin"}, {"after", "0ms"}}, {}, {}});
  ASSERT_TRUE(stage.until([&] { return spinner.status == "spin"; }));
  ASSERT_TRUE(stage.until([&] { return phase(spinner) == ipc::BeatPhase::busy; }));
  stage.kill("crash.0");
}

TEST(WorkerRuntime, is_stopped_while_it_waits_for_room_in_a_link_that_nobody_reads) {
  Stage stage;
  stage.link("ticks", Transport::shm, "ticker.0", "sink.0");
  auto& worker = stage.start(ticker());
  ASSERT_TRUE(stage.until([&] {
    return worker.ready &&
           worker.beat_page().phase.load() == static_cast<std::uint32_t>(ipc::BeatPhase::idle);
  }));
  stage.stop("ticker.0");
  EXPECT_EQ(stage.end("ticker.0"), ExitStatus(Exited{0}));
}

TEST(WorkerRuntime, says_hello_again_to_a_brain_whose_predecessor_died_before_it_answered) {
  Stage stage;
  stage.lose_brain();
  auto& worker = stage.start(math());
  stage.swallow(worker);
  stage.recover_brain();
  EXPECT_TRUE(stage.until_ready("math.0"));
}

TEST(WorkerRuntime, says_hello_once_more_after_one_that_no_brain_has_read) {
  Stage stage;
  stage.lose_brain();
  stage.start(math());
  stage.recover_brain();
  EXPECT_TRUE(stage.until_ready("math.0"));
}

TEST(WorkerRuntime, gets_the_links_that_a_brain_had_no_time_to_open) {
  Stage stage;
  stage.link("ticks", Transport::shm, "ticker.0", "sink.0");
  stage.link("others", Transport::shm, "ticker.0", "sink.0");
  stage.links_opened_max = 1;
  auto& sender = stage.start(ticker());
  ASSERT_TRUE(stage.until([&] { return sender.greeted; }));
  EXPECT_FALSE(sender.ready);
  stage.lose_brain();
  stage.links_opened_max = 2;
  stage.recover_brain();
  auto& receiver = stage.start(sink());
  ASSERT_TRUE(stage.until([&] { return figure(receiver.status, "delivered") > 1000; }));
  EXPECT_EQ(figure(receiver.status, "gaps"), 0U) << receiver.status;
}

TEST(WorkerRuntime, loses_nothing_and_restarts_nothing_when_brains_come_and_go) {
  Stage stage;
  stage.link("ticks", Transport::shm, "ticker.0", "sink.0");
  auto& sender = stage.start(ticker());
  auto& receiver = stage.start(sink());
  const auto delivered = [&] { return figure(receiver.status, "delivered"); };
  ASSERT_TRUE(stage.until([&] { return delivered() > 1000; }));
  for (int brain = 0; brain < 5; ++brain) {
    stage.lose_brain();
    stage.recover_brain();
    const auto before = delivered();
    ASSERT_TRUE(stage.until([&] {
      return sender.answered_resync && receiver.answered_resync && delivered() > before + 1000;
    }));
    ASSERT_EQ(sender.resync.links.size(), 1U);
    EXPECT_EQ(sender.resync.links[0].pair, "ticks/ticker.0/sink.0");
    EXPECT_EQ(sender.resync.phase, ipc::WorkerPhase::ready);
    stage.repeat_everything();
  }
  EXPECT_EQ(figure(receiver.status, "gaps"), 0U) << receiver.status;
  EXPECT_EQ(figure(receiver.status, "unexpected"), 0U) << receiver.status;
  EXPECT_EQ(receiver.printed.find("control link"), std::string::npos) << receiver.printed;
}

TEST(WorkerRuntime, answers_a_method_that_it_does_not_know_and_ignores_what_makes_no_sense) {
  Stage stage;
  auto& worker = stage.start(math());
  ASSERT_TRUE(stage.until_ready("math.0"));
  stage.send(worker, ipc::Json{{"what", "is this"}});
  stage.send(worker, ipc::notification("no.such", ipc::Json::object()));
  stage.send(worker, ipc::notification(ipc::method::link_peer, {{"pair", "x"}}));
  stage.send(worker, ipc::notification(ipc::method::link_open, {{"pair", "x"}}));
  stage.stop("math.0");
  EXPECT_EQ(stage.end("math.0"), ExitStatus(Exited{0}));
  EXPECT_TRUE(worker.prints("control link")) << worker.printed;
}

}  // namespace
}  // namespace bulkhead::test
