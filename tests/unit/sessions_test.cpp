// The brain's sessions, with a post that only notes down what would be sent.
#include "supervisor/sessions.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/fd.hpp"
#include "tests/support/config_text.hpp"

namespace bulkhead::supervisor {
namespace {

constexpr Slot server = 0, client = 1;

class SessionsOfANewBrain : public testing::Test {
 protected:
  using Told = std::vector<ipc::ResyncAnswer::Session>;

  void resynced(Slot slot, Told told) {
    ipc::ResyncAnswer answer;
    answer.generation = generations[slot];
    answer.sessions = std::move(told);
    sessions.resynced(slot, answer);
  }
  // What is said to a worker, as "SLOT METHOD KIND PAIR".
  WorkerPost post() {
    return {
        [this](Slot slot, std::string_view method, const ipc::Json& params, std::span<const int>) {
          said.push_back(std::to_string(slot) + " " + std::string(method) + " " +
                         params.value("kind", "-") + " " + params.value("pair", "-"));
        },
        [this](Slot slot) { return generations[slot]; }, [](Slot) { return true; }};
  }

  std::vector<std::string> said;
  Generation generations[3] = {7, 9, 1};
  const SystemConfig config = test::parsed(R"({"version": 1, "name": "t", "workers": {
      "math": {"command": ["/bin/true"], "provides": ["math"]}, "user": {"command": ["/bin/true"]},
      "liar": {"command": ["/bin/true"]}}})");
  const Plan plan = make_plan(config);
  std::uint64_t last_id = 100;
  Sessions sessions{config, plan, post(), [this] { return ++last_id; }, [](Slot) { return true; }};
  const std::string name = "session/5/user.0/math.0";
  const Told by_client{{name, 1, "math.0", 7}}, by_server{{name, 1, "user.0", 9}};
  const std::vector<std::string> server_hears{"0 link.peer peer_closed " + name};
  const std::vector<std::string> client_hears{"1 link.peer peer_closed " + name};
};

TEST_F(SessionsOfANewBrain, go_on_when_both_ends_tell_of_them) {
  resynced(client, by_client);
  resynced(server, by_server);
  EXPECT_TRUE(said.empty()) << said.front();
  sessions.died(server);
  EXPECT_EQ(said, std::vector<std::string>{"1 link.peer peer_died " + name});
}

// The last brain had opened it at one end only, or the other end has let go of it meanwhile.
TEST_F(SessionsOfANewBrain, end_when_only_the_server_tells_of_them_first_or_last) {
  resynced(server, by_server);
  EXPECT_TRUE(said.empty());
  resynced(client, {});
  EXPECT_EQ(said, server_hears);
}
TEST_F(SessionsOfANewBrain, end_when_the_server_tells_of_what_its_client_has_not_told) {
  resynced(client, {});
  resynced(server, by_server);
  EXPECT_EQ(said, server_hears);
}
TEST_F(SessionsOfANewBrain, end_when_the_client_tells_of_what_its_server_has_not_told) {
  resynced(server, {});
  resynced(client, by_client);
  EXPECT_EQ(said, client_hears);
}

TEST_F(SessionsOfANewBrain, end_when_the_peer_that_they_name_is_of_another_generation) {
  generations[server] = 8;
  resynced(client, by_client);
  EXPECT_EQ(said, std::vector<std::string>{"1 link.peer peer_died " + name});
}

TEST_F(SessionsOfANewBrain,
       that_it_opened_itself_outlast_the_answers_of_workers_that_had_not_heard_of_them) {
  sessions.connect(client, "math", time_never, [](auto) {});
  said.clear();
  resynced(server, {});
  resynced(client, {});
  EXPECT_TRUE(said.empty()) << said.front();
}

// What a hostile worker may say of others.
TEST_F(SessionsOfANewBrain, are_not_ended_by_a_worker_that_they_do_not_belong_to) {
  resynced(client, by_client);
  resynced(server, by_server);
  constexpr Slot liar = 2;
  resynced(liar, {{name, 1, "math.0", 1}, {name, 1, "user.0", 1}, {name, 1, "liar.0", 1}});
  EXPECT_TRUE(said.empty()) << said.front();
  sessions.died(server);
  EXPECT_EQ(said, std::vector<std::string>{"1 link.peer peer_died " + name});
}

TEST_F(SessionsOfANewBrain, are_not_made_up_by_names_that_are_none) {
  resynced(client, {{"session/5/user.0", 1, "math.0", 7},
                    {"session/user.0/math.0", 1, "math.0", 7},
                    {"", 1, "math.0", 7},
                    {"session/", 1, "math.0", 7},
                    {"//////", 1, "", 7}});
  sessions.died(server);
  EXPECT_TRUE(said.empty()) << said.front();
}

TEST_F(SessionsOfANewBrain, are_refused_to_a_client_that_has_too_many) {
  int refused = 0;
  for (int i = 0; i < 100; ++i) {
    sessions.connect(client, "math", time_never, [&](auto connected) {
      if (connected) return;
      EXPECT_TRUE(connected.error().is(Errc::out_of_budget)) << connected.error().to_string();
      ++refused;
    });
  }
  EXPECT_EQ(refused, 36);
}

}  // namespace
}  // namespace bulkhead::supervisor
