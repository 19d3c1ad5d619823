// Dead letters in whole systems: the command shows them, everybody may die meanwhile, and what is requeued is
// in play once.
#include <sched.h>

#include <thread>

#include "tests/process/queue_system.hpp"
#include "tests/support/command.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

class QueueLettersSystem : public QueueSystem {
 protected:
  void start_with_poison(std::uint64_t count, std::uint64_t deadly_every) {
    start({.pusher = R"({"count": )" + std::to_string(count) + R"(, "deadly_every": )" +
                     std::to_string(deadly_every) + "}",
           .toil = 0,
           .max_attempts = 2,
           .doer = R"(, "antidote": ")" + antidote.path("cure") + "\""});
    await_all_over();
  }
  void cure() { antidote.write("cure", ""); }

  CommandOutput bulkhead(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), BULKHEAD_PROGRAM);
    return run_command(std::move(arguments),
                       {"BULKHEAD_RUNTIME_DIR=" + system->directory().path("run")});
  }
  std::vector<std::uint64_t> letters() {
    std::vector<std::uint64_t> tasks;
    const auto answer = system->request("queue", {{"name", "work"}});
    for (const auto& letter : answer["queues"][0]["dead_letters"]) {
      if (letter["requeueable"]) tasks.push_back(letter["task"]);
    }
    std::sort(tasks.begin(), tasks.end());
    return tasks;
  }
  using Tasks = std::vector<std::uint64_t>;
  // How often the pusher has printed "over TASK HOW".
  int count_over(std::uint64_t task, const std::string& how) const {
    std::ifstream file(system->directory().path("run/q/logs/pusher.0.log"));
    const std::string wanted = "over " + std::to_string(task) + " " + how + " ";
    int count = 0;
    for (std::string line; std::getline(file, line);) {
      if (line.find(wanted) != line.npos) ++count;
    }
    return count;
  }
  void await_letters(const Tasks& tasks) {
    system->await([&](const auto&) { return letters() == tasks; }, "dead letters");
  }

  TemporaryDirectory antidote;
};

TEST_P(QueueLettersSystem, are_shown_with_what_an_operator_asks) {
  start_with_poison(20, 10);
  await_letters({10, 20});
  const auto table = bulkhead({"queue"});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_NE(table.out.find("work   pusher.0  doer            0             2        0"),
            std::string::npos)
      << table.out;
  EXPECT_NE(table.out.find("DEAD LETTER OF"), std::string::npos) << table.out;
  const auto output = bulkhead({"queue", "work", "--json"});
  const auto row = json::parse(output.out).at("queues").at(0);
  EXPECT_EQ(row.at("outstanding"), 0);
  EXPECT_EQ(row.at("dropped"), 0);
  ASSERT_EQ(row.at("dead_letters").size(), 2U);
  // By time: either may have been given up first.
  const bool first = row.at("dead_letters").at(0).at("task") == 10;
  const auto& letter = row.at("dead_letters").at(first ? 0 : 1);
  EXPECT_EQ(letter.at("task"), 10);
  EXPECT_EQ(letter.at("attempts"), 2);
  EXPECT_EQ(letter.at("bytes"), 16);
  EXPECT_EQ(letter.at("worker").get<std::string>().rfind("doer.", 0), 0U);
  EXPECT_EQ(letter.at("head"), "0a000000000000000100000000000000");
  EXPECT_TRUE(letter.contains("age_s") && letter.contains("t_ns"));
}

TEST_P(QueueLettersSystem, of_bytes_that_are_no_text_are_shown_as_numbers) {
  start_with_poison(200, 200);
  await_letters({200});
  const auto table = bulkhead({"queue"});
  EXPECT_NE(table.out.find("\\xc8\\x00"), std::string::npos) << table.out;
}

TEST_P(QueueLettersSystem, of_what_is_not_there_are_errors_that_name_what_is) {
  start_with_poison(10, 5);
  await_letters({5, 10});
  struct {
    std::vector<std::string> arguments;
    int code;
    const char* says;
  } const cases[] = {
      {{"queue", "wrok"}, 1, R"(no queue "wrok" (did you mean work? queues: work))"},
      {{"queue", "x"}, 1, R"(no queue "x" (queues: work))"},
      {{"queue", "work", "--requeue", "7"}, 1, "task 7 is no dead letter of work (it has 5, 10)"},
      {{"queue", "work", "--requeue", "-1"}, 2, R"("-1" is no task (write its number, or all))"},
      {{"queue", "work", "--requeue", "5x"}, 2, R"("5x" is no task)"},
      {{"queue", "work", "--requeue", ""}, 2, "not empty"},
      {{"queue", "--requeue", "5"}, 2, "bulkhead queue NAME --requeue 5"},
  };
  for (const auto& each : cases) {
    const auto output = bulkhead(each.arguments);
    EXPECT_EQ(output.code, each.code) << output.err;
    EXPECT_NE(output.err.find(each.says), std::string::npos) << output.err;
  }
  EXPECT_EQ(letters(), (Tasks{5, 10}));
}

TEST_P(QueueLettersSystem, outlive_the_pusher_the_workers_and_the_brain) {
  start_with_poison(20, 10);
  await_letters({10, 20});
  const int pusher = system->worker("pusher.0")["pid"];
  const int brain = system->brain_pid();
  kill("pusher.0");
  ::kill(brain, SIGKILL);
  kill("doer.0");
  kill("doer.1");
  system->await_reborn("pusher.0", pusher);
  EXPECT_EQ(letters(), (Tasks{10, 20}));
  cure();
  EXPECT_EQ(bulkhead({"queue", "work", "--requeue", "10"}).out, "requeued 10 of work\n");
  system->await([&](const auto&) { return count_over(10, "done") == 1; }, "task 10");
  EXPECT_EQ(bulkhead({"queue", "work", "--requeue", "all"}).out, "requeued 20 of work\n");
  system->await([&](const auto&) { return count_over(20, "done") == 1; }, "task 20");
  EXPECT_EQ(bulkhead({"queue", "work", "--requeue", "all"}).out, "work has no dead letters\n");
  const auto told = system->events_of("pusher.0", "task.requeued");
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0]["link"], "work");
  EXPECT_EQ(told[0]["task"], 10);
  EXPECT_EQ(outstanding(), 0U);
}

TEST_P(QueueLettersSystem, are_requeued_while_the_one_that_pushes_is_stopped) {
  start_with_poison(10, 10);
  await_letters({10});
  cure();
  system->request("stop", {{"name", "pusher"}});
  EXPECT_EQ(bulkhead({"queue", "work", "--requeue", "10"}).code, 0);
  EXPECT_EQ(letters(), Tasks{});
  system->request("start", {{"name", "pusher"}});
  system->await([&](const auto&) { return count_over(10, "done") == 1; }, "task 10");
}

// Each round asks once for the requeue of a task that fails again; if one were lost, or done twice, the number
// of completions would tell.
TEST_P(QueueLettersSystem, are_requeued_once_a_request_while_brains_are_killed) {
  std::mt19937 random(static_cast<unsigned>(chosen_seed()));
  start_with_poison(1, 1);
  await_letters({1});
  constexpr int rounds = 12;
  for (int round = 1; round <= rounds; ++round) {
    const int brain = system->brain_pid();
    const auto delay = random() % 400;
    std::thread killer([&] {
      for (auto i = delay; i != 0; --i) ::sched_yield();
      ::kill(brain, SIGKILL);
    });
    const auto answer = system->try_request("queue.requeue", {{"name", "work"}, {"task", 1}});
    killer.join();
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ((*answer)["requeued"], json::array({1}));
    system->await([&](const auto&) { return count_over(1, "quarantined") == round + 1; },
                  "the task to fail again");
    await_letters({1});
  }
  EXPECT_EQ(count_over(1, "quarantined"), rounds + 1);
  EXPECT_EQ(system->events_of("pusher.0", "task.requeued").size(), std::size_t{rounds});
  const auto doers = system->events_of("doer.0", "task.quarantined").size() +
                     system->events_of("doer.1", "task.quarantined").size();
  EXPECT_EQ(doers, std::size_t{rounds + 1}) << "each time is an event";
}

// Who keeps them knows no transport.
INSTANTIATE_TEST_SUITE_P(, QueueLettersSystem, testing::Values(Transport::shm), transport_name);

}  // namespace
}  // namespace bulkhead::test
