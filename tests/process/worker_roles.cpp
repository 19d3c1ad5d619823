// Workers that exist for tests alone: what the built-in ones do not do. Started by worker_threads_test.
#include <bulkhead/worker.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace bulkhead;

// A thread a link; each only receives. Ends when all were stopped.
Result<void> receive_in_threads(Worker& self) {
  auto channels = self.channels("ticks");
  if (!channels) return channels.error();
  std::atomic<std::size_t> stopped{0};
  std::vector<std::thread> threads;
  self.ready();
  for (auto& channel : *channels) {
    threads.emplace_back([&self, &channel, &stopped] {
      for (;;) {
        const auto message = channel.receive(self.until_stop());
        if (message) continue;
        if (message.error().is(Errc::stopped)) ++stopped;
        return;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  std::printf("stopped=%zu of %zu\n", stopped.load(), threads.size());
  return {};
}

// Says what each wrong way to ask for a link is answered with.
Result<void> ask_for_links(Worker& self) {
  const auto ask = [&](const char* link) {
    const auto channel = self.channel(link);
    std::printf("%s: %s\n", link, channel ? "taken" : channel.error().to_string().c_str());
  };
  ask("nowhere");
  ask("many");
  ask("one");
  ask("one");
  const auto many = self.channels("many");
  for (const auto& channel : *many) std::printf("%s\n", std::string(channel.peer()).c_str());
  const auto served = self.serve("unknown", Service(), self.until_stop());
  std::printf("%s\n", served.error().to_string().c_str());
  self.ready();
  return {};
}

// Sends three messages, says that no more will come, and stays.
Result<void> say_goodbye(Worker& self) {
  auto channel = self.channel("words");
  if (!channel) return channel.error();
  self.ready();
  for (const char word : {'a', 'b', 'c'}) {
    const auto sent = channel->send(std::as_bytes(std::span(&word, 1)), self.until_stop());
    if (!sent) return self.ended(sent.error());
  }
  channel->close();
  return self.ended(self.pause(std::chrono::hours(24)).error());
}

// Prints what comes and how it ends.
Result<void> hear(Worker& self) {
  auto channel = self.channel("words");
  if (!channel) return channel.error();
  self.ready();
  for (;;) {
    const auto message = channel->receive(self.until_stop());
    if (!message) {
      std::printf("%s\n", message.error().code.message().c_str());
      return {};
    }
    std::printf("%c\n", static_cast<char>(message->bytes()[0]));
  }
}

}  // namespace

int main(int argc, char** argv) {
  return Worker::run(argc, argv, [](Worker& self) -> Result<void> {
    const auto& role = self.arguments().at(0);
    if (role == "threads") return receive_in_threads(self);
    if (role == "links") return ask_for_links(self);
    if (role == "goodbye") return say_goodbye(self);
    if (role == "hear") return hear(self);
    return make_error(Errc::invalid_argument, role);
  });
}
