// What becomes of tasks when others die: their workers, the zygote, the owner.
#include <gtest/gtest.h>
#include <bulkhead/pool.hpp>

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <numeric>
#include <random>
#include <sstream>
#include <thread>

#include "base/child_process.hpp"
#include "tests/process/pool_signs.hpp"

namespace bulkhead {
namespace {

using test::await_end;
using test::patience;
using test::sanitized;
using namespace std::chrono_literals;

pid_t parent_of(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("PPid:")) return std::stoi(line.substr(5));
  }
  return 0;
}

// Whoever is at work is killed again and again, until so many have died or the map is done.
class Killer {
 public:
  explicit Killer(Pool& pool)
      : thread_([this, &pool] {
          std::minstd_rand random(1);
          while (!done_) {
            const auto pids = pool.pids();
            if (!pids.empty()) ::kill(pids[random() % pids.size()], SIGKILL);
            const auto died = pool.stats().died;
            while (!done_ && pool.stats().died == died) std::this_thread::yield();
          }
        }) {}
  void stop() {
    done_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> done_{false};
  std::thread thread_;
};

TEST(PoolDeath, of_workers_at_any_moment_loses_and_doubles_no_item) {
  Pool pool({.workers = 2});
  const std::uint64_t count = sanitized ? 20'000 : 300'000;
  auto runs = SharedArray<std::uint32_t>::create(count).value();
  std::vector<std::uint64_t> items(count);
  std::iota(items.begin(), items.end(), std::uint64_t{0});
  for (int round = 0; round < test::rounds(3); ++round) {
    Killer killer(pool);
    // Innocent items may be struck more often than usual.
    const auto mapped = pool.map_with(
        {.on_crash = OnCrash::retry, .retries = 1000}, items,
        [](std::uint64_t x, SharedArray<std::uint32_t>& all) {
          ++all[x];
          return x + 1;
        },
        runs);
    const auto texts = pool.map_with({.on_crash = OnCrash::retry, .retries = 1000},
                                     std::span(items).first(count / 10),
                                     [](std::uint64_t x) { return std::to_string(x); });
    killer.stop();
    ASSERT_TRUE(mapped.complete()) << mapped.failures.size();
    for (std::uint64_t x = 0; x < count; ++x) ASSERT_EQ(mapped.values[x], x + 1);
    ASSERT_TRUE(texts.complete());
    for (std::uint64_t x = 0; x < count / 10; ++x) ASSERT_EQ(texts.values[x], std::to_string(x));
  }
  EXPECT_GT(pool.stats().died, 0U);
  // Only what was running when its worker died was run twice.
  std::uint64_t again = 0;
  for (const auto times : runs) again += times - static_cast<std::uint32_t>(test::rounds(3));
  EXPECT_LE(again, pool.stats().died);
}

TEST(PoolDeath, of_the_zygote_replaces_it_and_its_workers) {
  Pool pool({.workers = 2});
  const int worker =
      pool.submit([] { return static_cast<int>(::getpid()); }).get(patience()).value();
  test::Signs signs(2);
  auto running = pool.submit_with(
      {.on_crash = OnCrash::retry},
      [](test::Signs& all) {
        if (all.given(0)) return 2;  // the second time
        all.give(0);
        all.await(1);
        return 1;
      },
      signs);
  signs.await(0);
  ASSERT_EQ(::kill(parent_of(worker), SIGKILL), 0);
  EXPECT_EQ(running.get(patience()).value(), 2);
  EXPECT_EQ(pool.submit([] { return 5; }).get(patience()).value(), 5);
  await_end(worker);
}

TEST(PoolDeath, of_the_zygote_before_its_workers_are_up_fails_no_task) {
  for (int round = 0; round < test::rounds(5); ++round) {
    Pool pool({.workers = 4, .initializer = [] { ::sched_yield(); }});
    auto task = pool.submit([] { return 5; });
    for (const pid_t zygote : test::children()) ::kill(zygote, SIGKILL);
    const auto result = task.get(patience());
    ASSERT_TRUE(result) << result.error().to_string();
  }
}

pid_t start_daemon(Pool& pool) {
  return pool
      .submit([] {
        const pid_t pid = ::fork();
        if (pid == 0) {
          ::setsid();
          for (;;) ::pause();
        }
        return static_cast<int>(pid);
      })
      .get(patience())
      .value();
}

TEST(PoolDeath, to_be_the_only_one_with_its_descriptors_leaves_nothing_behind) {
  pid_t daemon = 0, copy = 0;
  {
    Pool pool({.workers = 1});
    daemon = start_daemon(pool);
    copy = ::fork();
    if (copy == 0) {
      for (;;) ::pause();
    }
  }
  await_end(daemon);
  ::kill(copy, SIGKILL);
  ::waitpid(copy, nullptr, 0);
}

TEST(PoolDeath, of_a_zygote_to_run_leaves_nothing_behind) {
  pid_t daemon = 0;
  {
    Pool pool({.workers = 1});
    daemon = start_daemon(pool);
    for (const pid_t zygote : test::children()) ::kill(zygote, SIGSTOP);
  }
  await_end(daemon);
}

TEST(PoolDeath, of_the_owner_ends_every_process) {
  auto pipe = base::make_pipe().value();
  base::SpawnPlan plan;
  plan.executable = "/proc/self/exe";
  plan.argv = {"owner"};
  plan.env = {"POOL_TEST_OWNER=1"};
  plan.output = pipe.second.get();
  plan.errors = 2;
  base::ChildProcess owner(base::spawn(plan).value(), base::ChildProcess::OnDestroy::kill);
  pipe.second.reset();
  std::string said;
  char byte = 0;
  while (said.find('\n') == std::string::npos && ::read(pipe.first.get(), &byte, 1) == 1)
    said += byte;
  std::istringstream words(said);
  std::vector<pid_t> pids;
  for (pid_t pid = 0; words >> pid;) pids.push_back(pid);
  ASSERT_EQ(pids.size(), 3U) << said;  // the zygote, two workers
  ASSERT_TRUE(owner.send_signal(SIGKILL));
  for (const pid_t pid : pids) await_end(pid);
}

}  // namespace
}  // namespace bulkhead
