// Receives lines on the link "lines" and sends each back in capitals. Quoted in docs/guide-worker.md.
#include <bulkhead/worker.hpp>

#include <cctype>
#include <vector>

using namespace bulkhead;

namespace {

std::vector<std::byte> in_capitals(std::span<const std::byte> text) {
  std::vector<std::byte> capitals(text.begin(), text.end());
  for (std::byte& c : capitals) c = static_cast<std::byte>(std::toupper(static_cast<int>(c)));
  return capitals;
}

Result<void> shout(Worker& self) {
  auto lines = self.channel("lines");
  if (!lines) return lines.error();
  self.ready();
  for (;;) {
    auto message = lines->receive(self.until_stop());
    if (!message) return self.ended(message.error());
    auto sent = lines->send(in_capitals(message->bytes()), self.until_stop());
    if (!sent) {
      message->release();
      return self.ended(sent.error());
    }
  }
}

}  // namespace

int main(int argc, char** argv) { return Worker::run(argc, argv, shout); }
