// Sends lines on the link "lines" and prints what comes back. Quoted in docs/guide-worker.md.
#include <bulkhead/worker.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace bulkhead;

namespace {

Result<void> ask(Worker& self) {
  auto lines = self.channel("lines");
  if (!lines) return lines.error();
  self.ready();
  for (;;) {
    const auto text = "line " + std::to_string(lines->last_committed() + 1);
    auto sent = lines->send(std::as_bytes(std::span(text)), self.until_stop());
    if (!sent) return self.ended(sent.error());
    auto answer = lines->receive(self.until_stop());
    if (!answer) return self.ended(answer.error());
    const auto bytes = answer->bytes();
    std::printf("%.*s\n", static_cast<int>(bytes.size()),
                reinterpret_cast<const char*>(bytes.data()));
    std::fflush(stdout);
    auto paused = self.pause(std::chrono::milliseconds(100));
    if (!paused) return self.ended(paused.error());
  }
}

}  // namespace

int main(int argc, char** argv) { return Worker::run(argc, argv, ask); }
