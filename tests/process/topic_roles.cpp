// Ends of two topics that wait from outside, for tests alone: "publish" with Asio, "async" receives with Asio, "any" with
// wait_any, "loop" with poll(2). Who receives says "wrong" of a message that is not in its place. Started by
// topic_outside_test.
#include <bulkhead/async.hpp>
#include <bulkhead/worker.hpp>

#include <poll.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <cstdio>
#include <string>

namespace {

using namespace bulkhead;
namespace asio = boost::asio;

// Takes messages of one topic, each of which is its own number.
class Subscriber {
 public:
  explicit Subscriber(Topic topic) : topic_(std::move(topic)) {}
  Topic& topic() noexcept { return topic_; }

  void take(const TopicMessage& message) {
    const std::string text(reinterpret_cast<const char*>(message.bytes().data()),
                           message.bytes().size());
    const bool follows = last_ == 0 || message.index() == last_ + message.gap() + 1;
    if (!follows || text != std::to_string(message.index())) {
      std::printf("wrong: '%s' is %llu after %llu and a gap of %llu\n", text.c_str(),
                  static_cast<unsigned long long>(message.index()),
                  static_cast<unsigned long long>(last_),
                  static_cast<unsigned long long>(message.gap()));
    }
    last_ = message.index();
  }
  // Everything that is there.
  Result<void> take_all() {
    for (;;) {
      const auto message = topic_.try_receive();
      if (!message) return message.error();
      if (!*message) return {};
      take(**message);
    }
  }

 private:
  Topic topic_;
  std::uint64_t last_ = 0;
};

using Both = std::array<Subscriber, 2>;

// What the operations have not taken from the supervisor is looked for now and then.
void run_until_stopped(Worker& self, asio::io_context& context) {
  while (!self.stopping()) context.run_for(std::chrono::milliseconds(50));
}

asio::awaitable<void> publish_numbers(Topic& topic) {
  asio::steady_timer pause(co_await asio::this_coro::executor);
  for (;;) {
    const std::string text = std::to_string(topic.last_published() + 1);
    const auto done =
        co_await topic.async_publish(std::as_bytes(std::span(text)), asio::use_awaitable);
    if (!done) {
      std::printf("wrong: %s\n", done.error().to_string().c_str());
      co_return;
    }
    pause.expires_after(std::chrono::milliseconds(1));
    co_await pause.async_wait(asio::use_awaitable);
  }
}

Result<void> publish(Worker& self, const std::string& link) {
  auto topic = self.topic(link);
  if (!topic) return topic.error();
  self.ready();
  asio::io_context context;
  asio::co_spawn(context, publish_numbers(*topic), asio::detached);
  run_until_stopped(self, context);
  return {};
}

asio::awaitable<void> receive_numbers(Subscriber& subscriber) {
  for (;;) {
    auto message = co_await subscriber.topic().async_receive(asio::use_awaitable);
    if (!message) {
      std::printf("wrong: %s\n", message.error().to_string().c_str());
      co_return;
    }
    subscriber.take(*message);
  }
}

Result<void> receive_with_asio(Worker& self, Both& both) {
  asio::io_context context;
  for (Subscriber& subscriber : both) {
    asio::co_spawn(context, receive_numbers(subscriber), asio::detached);
  }
  run_until_stopped(self, context);
  return {};
}

Result<void> receive_with_wait_any(Worker& self, Both& both) {
  const std::array<Topic*, 2> topics{&both[0].topic(), &both[1].topic()};
  for (std::size_t turn = 0;;) {
    const auto ready = wait_any(topics, self.until_stop(), &turn);
    if (!ready) return self.ended(ready.error());
    const auto message = both[*ready].topic().receive(self.until_stop());
    if (!message) return self.ended(message.error());
    both[*ready].take(*message);
  }
}

Result<void> receive_in_a_loop(Worker& self, Both& both) {
  std::array<pollfd, 2> polled{};
  while (!self.stopping()) {
    for (std::size_t i = 0; i < both.size(); ++i) {
      if (auto taken = both[i].take_all(); !taken) return taken;
      polled[i] = {both[i].topic().native_handle(), POLLIN, 0};
    }
    static_cast<void>(::poll(polled.data(), polled.size(), 1000));
  }
  return {};
}

Result<void> receive(Worker& self, const std::string& role) {
  auto left = self.topic("left");
  if (!left) return left.error();
  auto right = self.topic("right");
  if (!right) return right.error();
  Both both{Subscriber(std::move(*left)), Subscriber(std::move(*right))};
  self.ready();
  if (role == "async") return receive_with_asio(self, both);
  if (role == "any") return receive_with_wait_any(self, both);
  if (role == "loop") return receive_in_a_loop(self, both);
  return make_error(Errc::invalid_argument, role);
}

}  // namespace

int main(int argc, char** argv) {
  return Worker::run(argc, argv, [](Worker& self) -> Result<void> {
    const auto& role = self.arguments().at(0);
    return role == "publish" ? publish(self, self.worker()) : receive(self, role);
  });
}
