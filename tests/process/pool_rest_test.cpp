// A pool that has nothing to do does nothing: its thread sleeps, whoever took the last report.
#include <gtest/gtest.h>
#include <unistd.h>

#include <bulkhead/pool.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace bulkhead {
namespace {

// As proc(5) has it.
bool sleeps(const std::filesystem::path& task) {
  std::ifstream stat(task / "stat");
  std::string line;
  std::getline(stat, line);
  const auto name_end = line.rfind(") ");
  return name_end != std::string::npos && line[name_end + 2] == 'S';
}

bool other_threads_sleep() {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    const bool is_ours = task.path().filename() == std::to_string(::getpid());
    if (!is_ours && !sleeps(task.path())) return false;
  }
  return true;
}

// A worker rings after it has written its report, which the caller may have taken by then.
TEST(PoolRest, its_thread_sleeps_after_a_map_whose_report_was_taken_before_its_bell_rang) {
  Pool pool({.workers = 2});
  const std::vector<std::uint32_t> items(40);
  constexpr int maps = 2000,
                looks = 20;  // one look may fall between two turns of a thread that spins
  for (int i = 0; i < maps; ++i) {
    ASSERT_TRUE(pool.map(items, [](std::uint32_t item) { return item; }).complete());
    for (const int worker :
         pool.pids()) {  // asleep it has rung; the watchdog is the test's time limit
      while (!sleeps("/proc/" + std::to_string(worker))) {
      }
    }
    for (int asleep = 0; asleep < looks;) asleep = other_threads_sleep() ? asleep + 1 : 0;
  }
}

}  // namespace
}  // namespace bulkhead

int main(int argc, char** argv) {
  bulkhead::Pool::entry(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
