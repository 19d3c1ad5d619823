// RPC over every transport: answers find their calls, deadlines hold, and a server killed by the kernel
// in the middle of a method costs its client one error.
#include <bulkhead/rpc.hpp>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <random>
#include <thread>

#include "base/fd.hpp"
#include "ipc/rpc_frame.hpp"
#include "tests/conformance/transports.hpp"

namespace bulkhead {
namespace {

using namespace std::chrono_literals;

Deadline soon() { return Deadline::in(30s); }  // a watchdog, never reached when all is well

Errc code_of(const Error& error) {
  EXPECT_EQ(&error.code.category(), &bulkhead_category()) << error.to_string();
  return static_cast<Errc>(error.code.value());
}

struct Reverse {
  static constexpr std::string_view name = "reverse";
  using Request = std::span<const std::byte>;
  using Response = Bytes;
};
struct Square {
  static constexpr std::string_view name = "square";
  using Request = std::uint64_t;
  using Response = std::uint64_t;
};
struct Split {
  static constexpr std::string_view name = "split";
  using Request = std::string;
  using Response = std::vector<std::string>;
};
struct Hang {
  static constexpr std::string_view name = "hang";
  using Request = int;
  using Response = int;
};

Service example() {
  Service service;
  service.on<Reverse>([](std::span<const std::byte> b) { return Bytes(b.rbegin(), b.rend()); });
  service.on<Square>([](std::uint64_t n) { return n * n; });
  service.on<Split>([](const std::string& text) {
    std::vector<std::string> letters;
    for (const char letter : text) letters.emplace_back(1, letter);
    return letters;
  });
  return service;
}

// A server in a process of its own, which has nothing but its end of the channel.
class ServerProcess {
 public:
  ServerProcess(std::pair<Channel, Channel> pair, const Service& service)
      : client_(make_channel_connector(std::move(pair.first))) {
    pid_ = ::fork();
    if (pid_ != 0) {
      std::optional<Channel> theirs(std::move(pair.second));
      return;
    }
    { Client dropped = std::move(client_); }
    const auto ended = serve(pair.second, service, Deadline::never());
    ::_exit(ended.error().is(Errc::closed) || ended.error().is(Errc::peer_died) ? 0 : 1);
  }
  ~ServerProcess() {
    if (pid_ > 0) kill_now();
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  Client& client() noexcept { return client_; }

  // Returns when the process is dead for certain.
  void kill_now() {
    ::kill(pid_, SIGKILL);
    EXPECT_TRUE(WIFSIGNALED(wait()));
  }
  int wait() {
    int status = -1;
    EXPECT_EQ(::waitpid(std::exchange(pid_, -1), &status, 0) > 0, true);
    return status;
  }
  // Ends the client's life first; returns what the server made of it.
  int farewell() {
    { Client last = std::move(client_); }
    return wait();
  }

 private:
  Client client_;
  pid_t pid_ = -1;
};

class Rpc : public testing::TestWithParam<Transport> {
 protected:
  std::pair<Channel, Channel> pair(ChannelOptions options = {}) {
    return connected_pair(GetParam(), options).value();
  }
};
BULKHEAD_OVER_ALL_TRANSPORTS(Rpc);

TEST_P(Rpc, answers_each_call_with_its_own_answer) {
  ServerProcess server(pair(), example());
  for (std::uint64_t n = 0; n < 2'000; ++n) {
    ASSERT_EQ(server.client().call<Square>(n, soon()).value(), n * n);
  }
  EXPECT_EQ(server.client().call<Split>("abc", soon()).value(),
            (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(server.client().stats().late_answers, 0u);
  EXPECT_EQ(server.client().stats().unknown_answers, 0u);
}

TEST_P(Rpc, carries_bodies_up_to_max_message) {
  ChannelOptions options;
  options.max_message = std::size_t{200} << 10;
  ServerProcess server(pair(options), example());
  std::mt19937 random(7);
  const std::size_t most = options.max_message - sizeof(ipc::RpcHeader) - Reverse::name.size();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{70'000}, most}) {
    Bytes body(size);
    for (auto& byte : body) byte = std::byte(random() % 256);
    const auto answer = server.client().call<Reverse>(body, soon());
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_TRUE(std::equal(body.begin(), body.end(), answer->rbegin(), answer->rend())) << size;
  }
  EXPECT_EQ(code_of(server.client().call<Reverse>(Bytes(most + 1), soon()).error()),
            Errc::message_too_big);
  EXPECT_EQ(server.client().call<Square>(3, soon()).value(), 9u);
}

TEST_P(Rpc, fails_at_once_when_the_server_is_killed_inside_a_method) {
  auto inside = base::make_pipe().value();
  Service service = example();
  service.on<Hang>([&inside](int) -> int {
    const char word = 'x';
    if (::write(inside.second.get(), &word, 1) != 1) ::_exit(2);
    for (;;) ::pause();
  });
  ServerProcess server(pair(), service);
  std::thread killer([&] {
    char word = 0;
    EXPECT_EQ(::read(inside.first.get(), &word, 1), 1);
    server.kill_now();
  });
  const auto answer = server.client().call<Hang>(1, soon());
  killer.join();
  ASSERT_FALSE(answer);
  EXPECT_EQ(code_of(answer.error()), Errc::peer_died) << answer.error().to_string();
  EXPECT_EQ(code_of(server.client().call<Square>(1, soon()).error()), Errc::closed);
}

TEST_P(Rpc, fails_when_the_server_died_before_the_call) {
  ServerProcess server(pair(), example());
  EXPECT_EQ(server.client().call<Square>(3, soon()).value(), 9u);
  server.kill_now();
  EXPECT_EQ(code_of(server.client().call<Square>(3, soon()).error()), Errc::peer_died);
}

TEST_P(Rpc, lets_the_server_end_when_its_client_goes) {
  ServerProcess server(pair(), example());
  EXPECT_EQ(server.client().call<Square>(3, soon()).value(), 9u);
  const int status = server.farewell();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// The server answers call 1 only after call 2 was asked, and both answers are there when 2 looks.
TEST_P(Rpc, drops_the_answer_to_a_call_that_timed_out) {
  auto [ours, theirs] = pair();
  Client client(make_channel_connector(std::move(ours)));
  std::optional<Channel> end(std::move(theirs));
  EXPECT_EQ(code_of(client.call<Square>(5, Deadline::in(1ms)).error()), Errc::timed_out);
  std::thread server([&end] {
    const Service service = example();
    for (int i = 0; i < 2; ++i) {
      auto message = end->receive(soon()).value();
      EXPECT_TRUE(end->send(service.answer(message.copy()).value(), soon()));
    }
  });
  EXPECT_EQ(client.call<Square>(6, soon()).value(), 36u);
  EXPECT_EQ(client.stats().late_answers, 1u);
  server.join();
}

TEST_P(Rpc, serves_several_clients_in_turn_without_mixing_them_up) {
  std::vector<Channel> ends;
  std::vector<std::thread> clients;
  for (std::uint64_t who = 1; who <= 3; ++who) {
    auto [ours, theirs] = pair();
    ends.push_back(std::move(theirs));
    clients.emplace_back([who, channel = std::move(ours)]() mutable {
      Client client(make_channel_connector(std::move(channel)));
      for (std::uint64_t n = who * 1000; n < who * 1000 + 300; ++n) {
        const auto answer = client.call<Square>(n, soon());
        ASSERT_TRUE(answer) << answer.error().to_string();
        ASSERT_EQ(*answer, n * n);
      }
    });
  }
  const Service service = example();
  std::size_t turn = 0;
  while (!ends.empty()) {
    std::vector<Channel*> all;
    for (auto& end : ends) all.push_back(&end);
    const auto which = wait_any(all, soon(), &turn);
    ASSERT_TRUE(which) << which.error().to_string();
    const auto served = serve_one(ends[*which], service);
    if (!served) ends.erase(ends.begin() + static_cast<std::ptrdiff_t>(*which));
  }
  for (auto& client : clients) client.join();
}

TEST_P(Rpc, gives_up_a_peer_that_does_not_speak_rpc) {
  auto [ours, theirs] = pair();
  Client client(make_channel_connector(std::move(ours)));
  std::optional<Channel> end(std::move(theirs));
  const Bytes noise(40, std::byte{0x5a});
  ASSERT_TRUE(end->send(noise, soon()));
  EXPECT_EQ(code_of(client.call<Square>(1, soon()).error()), Errc::protocol_violation);

  auto second = pair();
  ASSERT_TRUE(second.first.send(noise, soon()));
  EXPECT_EQ(code_of(serve(second.second, example(), soon()).error()), Errc::protocol_violation);
}

}  // namespace
}  // namespace bulkhead
