// The guide's example of a queue: squares the numbers that it leases.
#include <bulkhead/worker.hpp>
#include <cstring>

int main(int argc, char** argv) {
  using namespace bulkhead;
  return Worker::run(argc, argv, [](Worker& self) -> Result<void> {
    auto jobs = self.queue("jobs");
    if (!jobs) return jobs.error();
    self.ready();
    for (;;) {
      auto task = jobs->lease(self.until_stop());
      if (!task) return self.ended(task.error());
      std::uint64_t number = 0;
      std::memcpy(&number, task->bytes().data(), sizeof number);
      const std::uint64_t square = number * number;
      auto done = task->complete(std::as_bytes(std::span(&square, 1)), self.until_stop());
      if (!done) return self.ended(done.error());
    }
  });
}
