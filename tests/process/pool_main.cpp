// Workers of the tests' pools begin in this program, too.
#include <gtest/gtest.h>

#include <unistd.h>

#include <bulkhead/pool.hpp>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <thread>

namespace {

// A library that starts a thread before main, as some do.
struct EarlyThread {
  EarlyThread() {
    if (std::getenv("POOL_TEST_EARLY_THREAD") != nullptr) {
      std::thread([] {
        for (;;) ::pause();
      }).detach();
    }
  }
} early_thread;

// Says who is there, and waits to be killed.
void live_as_owner() {
  bulkhead::Pool pool({.workers = 2});
  const auto pids = [] { return std::pair<int, int>(::getppid(), ::getpid()); };
  std::set<int> all;
  while (all.size() < 3) {
    const auto [zygote, worker] = pool.submit(pids).value();
    all.insert({zygote, worker});
    for (const int pid : pool.pids()) all.insert(pid);
  }
  for (const int pid : all) std::printf("%d ", pid);
  std::printf("\n");
  std::fflush(stdout);
  auto busy = pool.submit([] {
    for (;;) ::pause();
  });
  busy.wait().value();
}

}  // namespace

int main(int argc, char** argv) {
  bulkhead::Pool::entry(argc, argv);
  if (std::getenv("POOL_TEST_OWNER") != nullptr) live_as_owner();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
