// Both ends of a queue, for tests alone: "push" pushes numbers and prints what comes back, "do" squares
// them, and dies or hangs over some. Started by queue_system_test.
#include <bulkhead/queue.hpp>
#include <bulkhead/worker.hpp>

#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

namespace {

using namespace bulkhead;

// The number of a task is its TaskId, so a successor knows which it has pushed.
struct Work {
  std::uint64_t number = 0;
  enum : std::uint64_t { harmless, deadly, endless } what = harmless;
};

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}
template <class T>
T read(std::span<const std::byte> bytes) {
  T value{};
  if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

// At once and whole, so that a line is there before its completion is let go of.
Result<void> print(const Completion& over) {
  char line[128];
  const auto result = read<std::uint64_t>(over.bytes());
  const int size = std::snprintf(
      line, sizeof line, "over %llu %s %llu %s\n", static_cast<unsigned long long>(over.task()),
      over.quarantined() ? "quarantined" : "done", static_cast<unsigned long long>(result),
      over.redelivered() ? "again" : "first");
  if (::write(STDOUT_FILENO, line, static_cast<std::size_t>(size)) == size) return {};
  return errno_error(errno, "print");
}

Result<void> push_numbers(Worker& self) {
  auto queue = self.queue("work");
  if (!queue) return queue.error();
  const std::uint64_t count = self.config().value("count", 0U);
  const std::uint64_t deadly_every = self.config().value("deadly_every", 0U);
  const std::uint64_t endless = self.config().value("endless", 0U);
  self.ready();
  for (;;) {
    if (queue->stats().pushed >= count && queue->stats().outstanding == 0) self.status("all over");
    const std::uint64_t next = queue->stats().pushed + 1;
    if (next <= count) {
      Work work{.number = next};
      if (deadly_every != 0 && next % deadly_every == 0) work.what = Work::deadly;
      if (next == endless) work.what = Work::endless;
      const auto pushed = queue->push(bytes_of(work), self.until_stop());
      if (pushed) {
        if (*pushed != next) return make_error(Errc::protocol_violation, "numbers have a hole");
        continue;
      }
      if (!pushed.error().is(Errc::would_block)) return self.ended(pushed.error());
    }
    const auto over = queue->next_completion(self.until_stop());
    if (!over) return self.ended(over.error());
    if (auto printed = print(*over); !printed) return printed;
  }
}

Result<void> do_work(Worker& self) {
  auto queue = self.queue("work");
  if (!queue) return queue.error();
  const volatile std::uint64_t one = 1;
  const std::uint64_t toil = self.config().value("toil", 0U);
  const std::string antidote =
      self.config().value("antidote", "");  // a file that cures deadly tasks
  self.ready();
  for (;;) {
    auto lease = queue->lease(self.until_stop());
    if (!lease) return self.ended(lease.error());
    const auto work = read<Work>(lease->bytes());
    const bool cured = !antidote.empty() && ::access(antidote.c_str(), F_OK) == 0;
    if (work.what == Work::deadly && !cured) std::raise(SIGKILL);
    const volatile bool hangs = work.what == Work::endless;
    while (hangs) {
    }
    for (std::uint64_t step = 0; step < toil; step += one) {
    }
    const std::uint64_t square = work.number * work.number;
    if (auto done = lease->complete(bytes_of(square), self.until_stop()); !done) {
      return self.ended(done.error());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return Worker::run(argc, argv, [](Worker& self) -> Result<void> {
    const auto& role = self.arguments().at(0);
    if (role == "push") return push_numbers(self);
    if (role == "do") return do_work(self);
    return make_error(Errc::invalid_argument, role);
  });
}
