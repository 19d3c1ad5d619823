// The comparison of supervisors measures, whatever the figures are, and leaves nothing behind, however it ends.
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "bench/others/supervisors/child.hpp"
#include "bench/others/supervisors/comparison.hpp"
#include "tests/support/descriptors.hpp"
#include "tests/support/temporary_directory.hpp"

namespace bulkhead::bench::others {
namespace {

namespace fs = std::filesystem;

// Supervisors work in a directory of the test's, and what they leave running becomes our child.
class SupervisorsBench : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::setenv("TMPDIR", directory_.path().c_str(), 1), 0);
    ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  }
  void TearDown() override {
    ::unsetenv("TMPDIR");
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    EXPECT_EQ(errno, ECHILD) << "somebody still runs";
    EXPECT_TRUE(fs::is_empty(directory_.path()));
    EXPECT_EQ(test::open_descriptors(), descriptors_);
  }

  Supervised::Surroundings surroundings(int interrupt_fd = -1) const {
    return {fs::read_symlink("/proc/self/exe"), interrupt_fd};
  }
  const std::string& directory() const { return path_; }

 private:
  const std::size_t descriptors_ = test::open_descriptors();
  const test::TemporaryDirectory directory_;
  const std::string path_ = directory_.path();
};

Recipe shell_recipe(const std::string& script) {
  return {"shell", "dash", "/bin/sh", {"-c", script}, {}, {}};
}

TEST_F(SupervisorsBench, has_two_rows_for_each_that_is_installed_and_names_the_others) {
  auto recipes = all_recipes(BULKHEAD_PROGRAM);
  recipes.push_back({"nobody", "nothing", "no-such-supervisor", {}, {}, {}});
  const auto installed = std::count_if(recipes.begin(), recipes.end(), [](const Recipe& recipe) {
    return !find_program(recipe).empty();
  });
  ComparisonOptions options;
  options.kills = 1;
  const auto compared = compare(recipes, surroundings(), options);
  ASSERT_TRUE(compared) << compared.error().to_string();
  EXPECT_EQ(compared->rows.size(), 2U * static_cast<std::size_t>(installed));
  for (const RecoveryRow& row : compared->rows) {
    EXPECT_EQ(row.n, 1U) << row.peer;
    EXPECT_GT(row.p50_us, 0) << row.peer;
    EXPECT_GT(row.ratio, 0) << row.peer;
  }
  ASSERT_EQ(compared->left_out.size(), recipes.size() - static_cast<std::size_t>(installed));
  EXPECT_EQ(compared->left_out.back().peer, "nobody");
}

TEST_F(SupervisorsBench, leaves_out_whom_it_is_told_to_and_refuses_a_name_that_nobody_has) {
  ComparisonOptions options;
  options.kills = 1;
  options.without = {"shell"};
  const std::vector<Recipe> recipes{bulkhead_recipe(BULKHEAD_PROGRAM), shell_recipe("exit 3")};
  const auto compared = compare(recipes, surroundings(), options);
  ASSERT_TRUE(compared) << compared.error().to_string();
  EXPECT_EQ(compared->left_out.at(0).peer, "shell");

  options.without = {"shel"};
  const auto refused = compare(recipes, surroundings(), options);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::invalid_argument));
  EXPECT_NE(refused.error().context.find("known: shell"), std::string::npos);
}

TEST_F(SupervisorsBench, tells_what_a_supervisor_said_that_did_not_start_and_the_remedy) {
  const auto started =
      Supervised::start(shell_recipe("echo no licence >&2; exit 3"), surroundings());
  ASSERT_FALSE(started);
  const auto& said = started.error().context;
  for (const auto* part : {"shell", "exit code 3", "no licence", "reinstall dash"}) {
    EXPECT_NE(said.find(part), std::string::npos) << said;
  }
}

TEST_F(SupervisorsBench, ends_with_everything_when_it_is_interrupted) {
  const base::UniqueFd interrupt{::eventfd(0, EFD_CLOEXEC)};
  ComparisonOptions options;
  options.on_round = [&](int) { ::eventfd_write(interrupt.get(), 1); };
  const auto compared =
      compare({bulkhead_recipe(BULKHEAD_PROGRAM)}, surroundings(interrupt.get()), options);
  ASSERT_FALSE(compared);
  EXPECT_TRUE(compared.error().is(Errc::cancelled)) << compared.error().to_string();
}

TEST_F(SupervisorsBench, leaves_nobody_running_when_it_is_killed) {
  for (const Recipe& recipe : all_recipes(BULKHEAD_PROGRAM)) {
    if (find_program(recipe).empty()) continue;
    SCOPED_TRACE(recipe.peer);
    const pid_t benchmark = ::fork();
    ASSERT_GE(benchmark, 0);
    if (benchmark == 0) {
      const auto supervised = Supervised::start(recipe, surroundings());
      ::raise(supervised ? SIGKILL : SIGABRT);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(benchmark, &status, 0), benchmark);
    EXPECT_EQ(WTERMSIG(status), SIGKILL) << "it did not start";
    while (::waitpid(-1, nullptr, 0) > 0) {  // the watchdog is the test's time limit
    }
    EXPECT_EQ(errno, ECHILD);
  }
  for (const auto& left : fs::directory_iterator(directory())) fs::remove_all(left.path());
}

}  // namespace
}  // namespace bulkhead::bench::others

int main(int argc, char** argv) {
  if (::getenv(bulkhead::bench::others::child_socket_variable) != nullptr) {
    return bulkhead::bench::others::run_child();
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
