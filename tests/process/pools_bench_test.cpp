// The comparison of pools measures, whatever the figures are, names who is not there, and leaves nobody running.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <bulkhead/pool.hpp>
#include <cerrno>
#include <cstdlib>
#include <set>

#include "bench/others/pools/comparison.hpp"
#include "bench/others/pools/python_pool.hpp"
#include "tests/support/descriptors.hpp"
#include "tests/support/temporary_directory.hpp"

namespace bulkhead::bench::others {
namespace {

// What pools leave running becomes our child.
class PoolsBench : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0); }
  void TearDown() override {
    while (::waitpid(-1, nullptr, 0) > 0) {  // the watchdog is the test's time limit
    }
    EXPECT_EQ(errno, ECHILD);
    EXPECT_EQ(test::open_descriptors(), descriptors_);
  }
  static bool has_python() { return std::system("python3 -c '' 2>/dev/null") == 0; }

 private:
  const std::size_t descriptors_ = test::open_descriptors();
};

// Hides programs from env(1) for its life.
class EmptyPath {
 public:
  EmptyPath() { ::setenv("PATH", directory_.path().c_str(), 1); }
  ~EmptyPath() { ::setenv("PATH", before_.c_str(), 1); }

 private:
  const std::string before_ = ::getenv("PATH");
  const test::TemporaryDirectory directory_;
};

PoolsOptions little_effort() {
  return {.workers = 2,
          .effort = {1, 400, 4000, {mandelbrot_work(64), primes_work(50)}},
          .script = POOLS_SCRIPT};
}

ThreadPool one_thread() {
  const auto runs = [](std::uint64_t) -> Result<EmptyTurn> { return EmptyTurn{.mean_ns = 1}; };
  auto split = serial_loop();
  split.peer = "one thread";
  return {"one thread", "none", "7", split, {"empty-chunked", "one thread", "", 1, 1, runs}};
}

TEST_F(PoolsBench, has_rows_for_everybody_and_says_which_version_they_are) {
  if (!has_python()) GTEST_SKIP() << "needs python3";
  const auto compared = compare_pools({one_thread()}, little_effort());
  ASSERT_TRUE(compared) << compared.error().to_string();
  std::multiset<std::string> peers;
  for (const PoolRow& row : compared->rows) {
    SCOPED_TRACE(row.peer);
    peers.insert(row.workload + " " + row.peer);
    EXPECT_GT(row.mean_ns, 0);
    EXPECT_GT(row.to_ours, 0);
    EXPECT_EQ(row.version.empty(), row.peer == "bulkhead" || row.peer == "serial");
  }
  const std::multiset<std::string> expected{"empty bulkhead",
                                            "empty multiprocessing.Pool",
                                            "empty ProcessPoolExecutor",
                                            "empty-chunked bulkhead",
                                            "empty-chunked one thread",
                                            "empty-chunked multiprocessing.Pool",
                                            "empty-chunked ProcessPoolExecutor",
                                            "empty-chunked ProcessPoolExecutor",
                                            "mandelbrot serial",
                                            "mandelbrot bulkhead",
                                            "mandelbrot one thread",
                                            "primes serial",
                                            "primes bulkhead",
                                            "primes one thread"};
  EXPECT_EQ(peers, expected);
  EXPECT_TRUE(compared->left_out.empty());
}

TEST_F(PoolsBench, leaves_out_and_names_who_is_not_installed) {
  const EmptyPath path;
  const auto compared = compare_pools({{"nobody", "nothing", ""}}, little_effort());
  ASSERT_TRUE(compared) << compared.error().to_string();
  for (const PoolRow& row : compared->rows) {
    EXPECT_TRUE(row.peer == "bulkhead" || row.peer == "serial") << row.peer;
  }
  std::vector<std::string> names;
  for (const auto& left : compared->left_out) names.push_back(left.peer);
  const std::vector<std::string> expected{"nobody", "multiprocessing.Pool", "ProcessPoolExecutor"};
  EXPECT_EQ(names, expected);
}

TEST_F(PoolsBench, tells_how_an_interpreter_ended_that_did_not_start_its_pool) {
  if (!has_python()) GTEST_SKIP() << "needs python3";
  const auto started = PythonPool::start(POOLS_SCRIPT, "NoSuchPool", 1);
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().is(Errc::exec_failed));
  EXPECT_EQ(started.error().context, "python3 for NoSuchPool: exit code 1");
}

}  // namespace
}  // namespace bulkhead::bench::others

int main(int argc, char** argv) {
  bulkhead::Pool::entry(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
