// The guide's example of a queue: pushes the numbers from 1 to 100 and prints their squares.
#include <bulkhead/worker.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>

int main(int argc, char** argv) {
  using namespace bulkhead;
  return Worker::run(argc, argv, [](Worker& self) -> Result<void> {
    auto jobs = self.queue("jobs");
    if (!jobs) return jobs.error();
    self.ready();
    while (jobs->stats().pushed < 100 || jobs->stats().outstanding > 0) {
      if (const TaskId number = jobs->stats().pushed + 1; number <= 100) {
        const auto pushed = jobs->try_push(std::as_bytes(std::span(&number, 1)));
        if (pushed) continue;
        if (!pushed.error().is(Errc::would_block)) return pushed.error();
      }
      auto over = jobs->next_completion(self.until_stop());
      if (!over) return self.ended(over.error());
      std::uint64_t square = 0;
      if (!over->quarantined()) std::memcpy(&square, over->bytes().data(), sizeof square);
      std::printf("task %llu: %llu\n", static_cast<unsigned long long>(over->task()),
                  static_cast<unsigned long long>(square));
    }
    std::fflush(stdout);
    return self.ended(self.pause(std::chrono::hours(1)).error());
  });
}
