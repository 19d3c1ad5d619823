// The keeper as a process: what survives a kill of the brain, what dies with the keeper, and that nothing is
// left behind. The brain is this binary (tests/support/test_brain.hpp).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <string>

#include "base/child_process.hpp"
#include "supervisor/launch.hpp"
#include "tests/support/descriptors.hpp"
#include "tests/support/test_brain.hpp"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
using base::ChildProcess;
using base::Exited;
using base::ExitStatus;
namespace fs = std::filesystem;

Deadline watchdog() { return Deadline::in(30s); }

bool await(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, 30'000) == 1;
}

// One connection to whichever brain accepts it.
class Conversation {
 public:
  explicit Conversation(const std::string& path)
      : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }

  void tell(const std::string& command) const {
    EXPECT_EQ(::send(socket_.get(), command.data(), command.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(command.size()));
  }
  std::string hear() const {
    char text[4096];
    if (!await(socket_.get())) return "watchdog";
    const ssize_t n = ::recv(socket_.get(), text, sizeof text, 0);
    return n <= 0 ? "gone" : std::string(text, static_cast<std::size_t>(n));
  }
  std::string ask(const std::string& command) const {
    tell(command);
    return hear();
  }

 private:
  base::UniqueFd socket_;
};

class KeeperProcess : public testing::Test {
 protected:
  // As their parent's heir, this process sees all that a killed keeper leaves behind.
  KeeperProcess() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    char path[] = "/tmp/keeper_test_XXXXXX";
    directory_ = ::mkdtemp(path);
    descriptors_before_ = test::open_descriptors();
    request_.name = "demo";
    request_.runtime_dir = directory_ / "run";
    request_.program_directory =
        fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin";
    request_.config = {"/etc/demo.json", "{ \"name\": \"demo\" }"};
  }

  ~KeeperProcess() override {
    keeper_.reset();
    talk_.reset();
    reap_heirs();
    fs::remove_all(directory_);
    EXPECT_EQ(test::open_descriptors(), descriptors_before_) << "a descriptor leaked";
  }

  // Everything below the keeper must end by itself once it is dead: nobody is killed here.
  static void reap_heirs() {
    siginfo_t info{};
    while (::waitid(P_ALL, 0, &info, WEXITED) == 0) {
    }
    EXPECT_EQ(errno, ECHILD);
  }

  void launch(const std::string& brain_role = "steady") {
    auto spec = prepare_launch(request_);
    ASSERT_TRUE(spec) << spec.error().to_string();
    spec->brain_program = fs::read_symlink("/proc/self/exe");
    base::SpawnPlan plan;
    plan.executable = spec->keeper_program;
    plan.argv = command_line(spec->keeper_program, keeper_arguments(*spec));
    plan.env = {std::string(test::role_variable) + "=" + brain_role};
    for (const auto* fd :
         {&spec->keeper_page, &spec->state, &spec->lock, &spec->listener, &spec->config}) {
      plan.fds.push_back({fd->get(), fd->get()});
    }
    plan.limits = limits_;
    auto spawned = base::spawn(plan);
    ASSERT_TRUE(spawned) << spawned.error().to_string();
    keeper_ = std::make_unique<ChildProcess>(std::move(*spawned), ChildProcess::OnDestroy::kill);
    reconnect();
  }

  void reconnect() { talk_ = std::make_unique<Conversation>(socket_path()); }
  std::string ask(const std::string& command) { return talk_->ask(command); }
  std::string socket_path() const { return directory_ / "run" / "demo.sock"; }
  std::string lock_path() const { return directory_ / "run" / "demo.lock"; }

  pid_t pid_by(const std::string& command) { return std::stoi(ask(command)); }

  void kill_brain() {
    auto brain = base::open_pidfd(pid_by("pid"));
    ASSERT_TRUE(brain);
    ASSERT_TRUE(base::send_signal(brain->get(), SIGKILL));
    ASSERT_TRUE(await(brain->get()));
    reconnect();
  }

  static std::set<pid_t> numbers(const std::string& text) {
    std::istringstream words(text);
    return {std::istream_iterator<pid_t>(words), std::istream_iterator<pid_t>()};
  }

  static pid_t parent_of(pid_t pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    for (std::string word; status >> word;) {
      if (word == "PPid:" && status >> word) return std::stoi(word);
    }
    return 0;
  }

  fs::path directory_;
  std::size_t descriptors_before_ = 0;
  LaunchRequest request_;
  std::vector<base::ResourceLimit> limits_;
  std::unique_ptr<ChildProcess> keeper_;
  std::unique_ptr<Conversation> talk_;
};

TEST_F(KeeperProcess, starts_a_brain_with_the_sealed_config) {
  launch();
  EXPECT_EQ(ask("generation"), "1");
  EXPECT_EQ(ask("config"), "/etc/demo.json:{ \"name\": \"demo\" }");
  EXPECT_EQ(parent_of(pid_by("pid")), keeper_->pid());
}

TEST_F(KeeperProcess, gives_the_brain_no_descriptor_of_its_own) {
  launch();
  const auto listing = ask("descriptors");
  EXPECT_EQ(listing.find(".lock"), std::string::npos) << listing;
  EXPECT_EQ(listing.find("signalfd"), std::string::npos) << listing;
  EXPECT_EQ(listing.find("keeper_test"), std::string::npos) << "the pinned program: " << listing;
}

TEST_F(KeeperProcess, raises_the_descriptor_limit_and_remembers_the_old_one) {
  rlimit now{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &now), 0);
  limits_ = {{RLIMIT_NOFILE, 200, now.rlim_max}};
  launch();
  EXPECT_EQ(ask("limits"), "200 raised");
}

TEST_F(KeeperProcess, hands_its_store_to_the_brain_that_replaces_a_killed_one) {
  launch();
  EXPECT_EQ(ask("put segment/a first"), "ok");
  EXPECT_EQ(ask("put segment/b second"), "ok");
  EXPECT_EQ(ask("put other third"), "ok");
  EXPECT_EQ(ask("get segment/a"), "none") << "what it put itself is not inherited";
  kill_brain();
  EXPECT_EQ(ask("generation"), "2");
  EXPECT_EQ(ask("tags segment/"), "segment/a=first segment/b=second ");
  EXPECT_EQ(ask("drop segment/a"), "ok");
  EXPECT_EQ(ask("get segment/a"), "none");
  EXPECT_EQ(ask("put segment/b again"), "ok");
  kill_brain();
  EXPECT_EQ(ask("generation"), "3");
  EXPECT_EQ(ask("tags"), "other=third segment/b=again ");
}

TEST_F(KeeperProcess, says_that_its_table_is_full) {
  request_.store_entries = 2;
  launch();
  EXPECT_EQ(ask("put a 1"), "ok");
  EXPECT_EQ(ask("put b 2"), "ok");
  EXPECT_NE(ask("put c 3").find("keep c: the keeper's table of 2 is full"), std::string::npos);
  EXPECT_EQ(ask("put b 4"), "ok") << "replacing needs no room";
  EXPECT_EQ(ask("drop a"), "ok");
  EXPECT_EQ(ask("put c 5"), "ok");
  kill_brain();
  EXPECT_EQ(ask("tags"), "b=4 c=5 ");
}

TEST_F(KeeperProcess, says_that_it_has_no_descriptor_left) {
  limits_ = {{RLIMIT_NOFILE, 40, 40}};
  launch();
  std::string answer = "ok";
  for (int i = 0; i < 50 && answer == "ok"; ++i) answer = ask("put tag" + std::to_string(i) + " x");
  EXPECT_NE(answer.find("no descriptor left"), std::string::npos) << answer;
}

TEST_F(KeeperProcess, is_the_parent_of_workers_which_survive_the_brain) {
  launch();
  const pid_t worker = pid_by("spawn worker 3");
  auto pidfd = base::open_pidfd(worker);
  ASSERT_TRUE(pidfd);
  EXPECT_EQ(parent_of(worker), keeper_->pid());
  kill_brain();
  EXPECT_EQ(ask("claim 3"), "1/" + std::to_string(worker));
  EXPECT_EQ(parent_of(worker), keeper_->pid());
  ASSERT_TRUE(base::send_signal(pidfd->get(), SIGTERM));
  EXPECT_EQ(ask("exit"), "3/1/signal 15");
}

TEST_F(KeeperProcess, tells_an_exit_again_to_a_new_brain_until_it_is_acknowledged) {
  launch();
  (void)ask("spawn leaver 7");
  EXPECT_EQ(ask("exit"), "7/1/exit 3");
  kill_brain();
  EXPECT_EQ(ask("exit"), "7/1/exit 3");
  EXPECT_EQ(ask("acknowledge"), "ok");
  (void)ask("spawn leaver 7");
  kill_brain();
  EXPECT_EQ(ask("exit"), "7/2/exit 3");
}

TEST_F(KeeperProcess, lets_zombies_wait_while_the_exit_ring_is_full) {
  request_.exit_entries = 2;
  launch();
  pid_t last = 0;
  for (int slot = 0; slot < 5; ++slot) last = pid_by("spawn leaver " + std::to_string(slot));
  EXPECT_EQ(ask("exit"), "0/1/exit 3");
  EXPECT_EQ(ask("exit"), "1/1/exit 3");
  EXPECT_EQ(ask("unread"), "0");
  EXPECT_EQ(parent_of(last), keeper_->pid()) << "reaped without an entry";
  kill_brain();  // which is reaped although zombies wait
  EXPECT_EQ(ask("exit"), "0/1/exit 3");
  EXPECT_EQ(ask("exit"), "1/1/exit 3");
  EXPECT_EQ(ask("acknowledge"), "ok");
  EXPECT_EQ(ask("exit"), "2/1/exit 3");
  EXPECT_EQ(ask("exit"), "3/1/exit 3");
  EXPECT_EQ(ask("acknowledge"), "ok");
  EXPECT_EQ(ask("exit"), "4/1/exit 3");
}

TEST_F(KeeperProcess, answers_puts_while_its_bells_ring) {
  launch();
  EXPECT_EQ(ask("storm 40"), "40");
}

TEST_F(KeeperProcess, counts_children_that_no_claim_names) {
  launch();
  (void)ask("spawn orphan");
  EXPECT_EQ(ask("orphans"), "1");
  EXPECT_EQ(ask("unread"), "0");
}

TEST_F(KeeperProcess, replaces_a_brain_that_hangs) {
  launch();
  auto brain = base::open_pidfd(pid_by("pid"));
  ASSERT_TRUE(base::send_signal(brain->get(), SIGSTOP));
  ASSERT_TRUE(await(brain->get()));
  reconnect();
  EXPECT_EQ(ask("generation"), "2");
}

TEST_F(KeeperProcess, replaces_a_brain_that_breaks_the_protocol) {
  launch();
  auto brain = base::open_pidfd(pid_by("pid"));
  talk_->tell("garbage");
  ASSERT_TRUE(await(brain->get()));
  reconnect();
  EXPECT_EQ(ask("generation"), "2");
}

TEST_F(KeeperProcess, takes_everything_with_it_when_it_is_killed) {
  launch();
  auto worker = base::open_pidfd(pid_by("spawn worker 0"));
  auto brain = base::open_pidfd(pid_by("pid"));
  ASSERT_TRUE(keeper_->send_signal(SIGKILL));
  EXPECT_TRUE(await(worker->get()));
  EXPECT_TRUE(await(brain->get()));
}

TEST_F(KeeperProcess, leaves_nothing_that_blocks_the_next_start_when_it_is_killed) {
  launch();
  EXPECT_EQ(ask("generation"), "1");
  ASSERT_TRUE(keeper_->send_signal(SIGKILL));
  ASSERT_TRUE(keeper_->wait(watchdog()));
  EXPECT_TRUE(fs::exists(socket_path())) << "nobody removed it";
  EXPECT_TRUE(fs::exists(lock_path())) << "nobody removed it";
  launch();
  EXPECT_EQ(ask("generation"), "1") << "a new system";
}

TEST_F(KeeperProcess, has_its_name_to_itself) {
  launch();
  EXPECT_EQ(ask("generation"), "1");
  const auto second = prepare_launch(request_);
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().is(Errc::already_exists));
  EXPECT_NE(second.error().context.find("system demo is running already (pid " +
                                        std::to_string(keeper_->pid()) + ")"),
            std::string::npos)
      << second.error().context;
  EXPECT_EQ(ask("generation"), "1") << "the attempt left the socket alone";
}

TEST_F(KeeperProcess, kills_what_is_left_removes_its_names_and_exits_when_the_brain_says_stop) {
  launch();
  auto worker = base::open_pidfd(pid_by("spawn worker 0"));
  auto brain = base::open_pidfd(pid_by("pid"));
  talk_->tell("stop 7");
  EXPECT_EQ(*keeper_->wait(watchdog()), ExitStatus{Exited{7}});
  EXPECT_TRUE(await(worker->get()));
  EXPECT_TRUE(await(brain->get()));
  EXPECT_FALSE(fs::exists(socket_path()));
  EXPECT_FALSE(fs::exists(lock_path()));
}

TEST_F(KeeperProcess, passes_stop_requests_on_and_acts_itself_on_the_third) {
  launch();
  auto worker = base::open_pidfd(pid_by("spawn worker 0"));
  ASSERT_TRUE(keeper_->send_signal(SIGINT));
  EXPECT_EQ(ask("stops 1"), "1");
  kill_brain();
  EXPECT_EQ(ask("stops 1"), "1") << "a new brain knows";
  ASSERT_TRUE(keeper_->send_signal(SIGTERM));
  EXPECT_EQ(ask("stops 2"), "2");
  ASSERT_TRUE(keeper_->send_signal(SIGINT));
  EXPECT_EQ(*keeper_->wait(watchdog()), ExitStatus{Exited{1}});
  EXPECT_TRUE(await(worker->get()));
  EXPECT_FALSE(fs::exists(lock_path()));
}

TEST_F(KeeperProcess, gives_up_when_no_brain_ever_takes_over) {
  launch("never");
  EXPECT_EQ(*keeper_->wait(watchdog()), ExitStatus{Exited{1}});
  EXPECT_FALSE(fs::exists(lock_path()));
}

// Every child of the keeper but the brain must be a worker that exactly one claim names.
TEST_F(KeeperProcess,
       has_no_doubled_and_no_unrecorded_worker_after_brains_died_while_they_spawned) {
  const auto seed = static_cast<unsigned>(::getpid());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::minstd_rand random(seed);
  launch();
  for (int kills = 0; kills < 40; ++kills) {
    auto brain = base::open_pidfd(pid_by("pid"));
    ASSERT_TRUE(brain);
    talk_->tell("churn 1000000");
    const timespec span{0, static_cast<long>(random() % 8'000'000)};
    pollfd entry{brain->get(), POLLIN, 0};
    ASSERT_EQ(::ppoll(&entry, 1, &span, nullptr), 0) << "the brain died by itself";
    ASSERT_TRUE(base::send_signal(brain->get(), SIGKILL));
    ASSERT_TRUE(await(brain->get()));
    reconnect();
  }
  ASSERT_EQ(ask("churn 4"), "done");
  // A late child of a killed brain may be on its way out, and so may the last victim be.
  const auto until = watchdog();
  std::set<pid_t> children, claimed;
  do {
    claimed = numbers(ask("living"));
    const auto keeper = std::to_string(keeper_->pid());
    children = numbers(*base::read_file("/proc/" + keeper + "/task/" + keeper + "/children"));
    children.erase(pid_by("pid"));
  } while (children != claimed && !until.expired());
  EXPECT_EQ(children, claimed);
  EXPECT_GE(claimed.size(), 3u);
}

TEST_F(KeeperProcess, refuses_a_runtime_directory_that_others_can_enter) {
  fs::create_directory(request_.runtime_dir);
  fs::permissions(request_.runtime_dir, fs::perms(0755));
  const auto spec = prepare_launch(request_);
  ASSERT_FALSE(spec);
  EXPECT_TRUE(spec.error().is(Errc::not_permitted));
}

TEST_F(KeeperProcess, refuses_a_socket_path_that_the_kernel_cannot_hold) {
  request_.runtime_dir = directory_ / std::string(100, 'x');
  const auto spec = prepare_launch(request_);
  ASSERT_FALSE(spec);
  EXPECT_TRUE(spec.error().is(Errc::invalid_argument));
  EXPECT_NE(spec.error().context.find("BULKHEAD_RUNTIME_DIR"), std::string::npos);
}

TEST_F(KeeperProcess, makes_socket_and_directory_for_the_owner_alone) {
  const auto spec = prepare_launch(request_);
  ASSERT_TRUE(spec);
  EXPECT_EQ(fs::status(request_.runtime_dir).permissions(), fs::perms(0700));
  EXPECT_EQ(fs::status(socket_path()).permissions(), fs::perms(0600));
}

}  // namespace
}  // namespace bulkhead::supervisor

int main(int argc, char** argv) {
  const auto role = bulkhead::test::role_of_this_process();
  if (!role.empty()) return bulkhead::test::play_role(role, argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
