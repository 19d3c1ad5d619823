// bulkhead::connect() and Connection against a supervisor that the test plays: it dies, is replaced,
// refuses, and tells events twice or not at all.
#include <bulkhead/connection.hpp>

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>

#include "ipc/control_protocol.hpp"
#include "ipc/endpoint.hpp"
#include "tests/support/descriptors.hpp"

namespace bulkhead {
namespace {

using base::UniqueFd;
using ipc::Packet;
using nlohmann::json;
using namespace std::chrono_literals;

Deadline soon() { return Deadline::in(10s); }  // a watchdog, never reached when all is well

Errc code_of(const Error& error) {
  EXPECT_EQ(&error.code.category(), &bulkhead_category()) << error.to_string();
  return static_cast<Errc>(error.code.value());
}

// One connection that the played supervisor has taken.
class Caller {
 public:
  explicit Caller(UniqueFd socket) : socket_(std::move(socket)) {}

  struct Request {
    std::uint64_t id;
    std::string method;
    json params;
  };
  Request next() const {
    const auto packet = ipc::receive_packet(socket_.get(), soon()).value();
    const auto message = ipc::read_message(packet.body).value();
    return {message.id, std::string(message.method), *message.content};
  }
  void answer(const Request& request, json value, std::span<const int> fds = {}) const {
    send(ipc::result(request.id, std::move(value)), fds);
  }
  void fail(std::uint64_t id, const Error& error) const { send(ipc::error_answer(id, error), {}); }
  void tell(std::uint64_t seq) const {
    send(ipc::notification("event", {{"seq", seq}, {"type", "worker.ready"}}), {});
  }
  bool closed() const {
    const auto packet = ipc::receive_packet(socket_.get(), soon());
    return !packet && packet.error().is(Errc::closed);
  }

 private:
  void send(const json& body, std::span<const int> fds) const {
    EXPECT_TRUE(ipc::send_packet(socket_.get(), body, fds, soon()));
  }
  UniqueFd socket_;
};

ipc::HelloClientAnswer demo(int brain = 11, int keeper = 10) { return {{}, "demo", brain, keeper}; }

// A runtime directory of our own, with the control sockets of systems that the test plays.
class ConnectionTest : public testing::Test {
 protected:
  ConnectionTest() {
    char pattern[] = "/tmp/bulkhead-connection-XXXXXX";
    directory_ = ::mkdtemp(pattern);
    ::setenv("BULKHEAD_RUNTIME_DIR", directory_.c_str(), 1);
    before_ = test::open_descriptors();
  }
  ~ConnectionTest() override {
    if (brain_.joinable()) brain_.join();
    listeners_.clear();
    std::filesystem::remove_all(directory_);
    EXPECT_EQ(test::open_descriptors(), before_);
  }

  std::string path_of(const std::string& name) const { return directory_ + "/" + name + ".sock"; }

  int listen(const std::string& name) {
    UniqueFd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path_of(name).c_str());
    const auto* const at = reinterpret_cast<const sockaddr*>(&address);
    EXPECT_EQ(::bind(socket.get(), at, sizeof address), 0);
    EXPECT_EQ(::listen(socket.get(), 16), 0);
    listeners_.push_back(std::move(socket));
    return listeners_.back().get();
  }

  // Takes the next connection and lets it say hello.
  Caller accept(int listener, ipc::HelloClientAnswer identity = demo()) {
    Caller caller = accept_unasked(listener);
    const auto hello = caller.next();
    EXPECT_EQ(hello.method, "hello");
    EXPECT_TRUE(ipc::decode<ipc::HelloClient>(hello.params));
    caller.answer(hello, ipc::encode(identity));
    return caller;
  }
  Caller accept_unasked(int listener) {
    Caller caller(UniqueFd{::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)});
    return caller;
  }

  void brain(std::function<void()> script) { brain_ = std::thread(std::move(script)); }

 private:
  std::string directory_;
  std::vector<UniqueFd> listeners_;
  std::thread brain_;
  std::size_t before_ = 0;
};

TEST_F(ConnectionTest, finds_a_system_by_name_by_path_or_as_the_only_one) {
  const int listener = listen("demo");
  for (const std::string& name : {std::string("demo"), path_of("demo")}) {
    std::thread server([&] { accept(listener); });
    const auto system = connect(name, soon());
    server.join();
    ASSERT_TRUE(system) << system.error().to_string();
    EXPECT_EQ(system->system().name, "demo");
    EXPECT_EQ(system->system().brain_pid, 11);
    EXPECT_EQ(system->system().keeper_pid, 10);
    EXPECT_EQ(system->system().control_path, path_of("demo"));
  }
  brain([this, listener] {
    accept_unasked(listener);  // the look whether somebody listens
    accept(listener);
  });
  EXPECT_TRUE(connect("", soon()));
}

TEST_F(ConnectionTest, says_that_no_system_is_running) {
  EXPECT_EQ(code_of(connect("", soon()).error()), Errc::no_system);
  EXPECT_EQ(code_of(connect("demo", soon()).error()), Errc::no_system);
}

// Root may enter everywhere, so it becomes somebody else for the question.
TEST_F(ConnectionTest, says_of_a_directory_that_it_may_not_read_that_it_may_not) {
  const std::string directory = ::getenv("BULKHEAD_RUNTIME_DIR");
  ASSERT_EQ(::chmod(directory.c_str(), ::geteuid() == 0 ? 0700 : 0), 0);
  constexpr uid_t nobody = 65534;
  const bool is_root = ::geteuid() == 0;
  if (is_root) {
    ASSERT_EQ(::seteuid(nobody), 0);
  }
  const auto system = connect("", soon());
  if (is_root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  ::chmod(directory.c_str(), 0700);
  ASSERT_FALSE(system);
  EXPECT_EQ(code_of(system.error()), Errc::not_permitted);
  EXPECT_NE(system.error().context.find(directory), std::string::npos) << system.error().context;
}

TEST_F(ConnectionTest, takes_a_socket_that_nobody_listens_on_for_no_system) {
  UniqueFd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path_of("stale").c_str());
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  socket.reset();
  EXPECT_EQ(code_of(connect("stale", soon()).error()), Errc::no_system);
  EXPECT_EQ(code_of(connect("", soon()).error()), Errc::no_system);
}

TEST_F(ConnectionTest, lists_the_systems_when_there_are_several) {
  listen("beta");
  listen("alpha");
  const auto system = connect("", soon());
  ASSERT_FALSE(system);
  EXPECT_EQ(code_of(system.error()), Errc::invalid_argument);
  EXPECT_NE(system.error().context.find("alpha, beta"), std::string::npos);
}

TEST_F(ConnectionTest, refuses_a_path_that_no_socket_address_can_hold) {
  EXPECT_EQ(code_of(connect("/tmp/" + std::string(200, 'x'), soon()).error()),
            Errc::invalid_argument);
}

TEST_F(ConnectionTest, refuses_a_supervisor_of_another_build) {
  const int listener = listen("demo");
  brain([this, listener] {
    auto identity = demo();
    identity.versions.layout ^= 1;
    accept(listener, identity);
  });
  EXPECT_EQ(code_of(connect("demo", soon()).error()), Errc::version_mismatch);
}

TEST_F(ConnectionTest, tells_why_a_supervisor_refuses_before_hello) {
  const int listener = listen("demo");
  brain([this, listener] {
    accept_unasked(listener).fail(0, make_error(Errc::not_permitted, "not you"));
  });
  EXPECT_EQ(code_of(connect("demo", soon()).error()), Errc::not_permitted);
}

TEST_F(ConnectionTest, gives_up_what_hangs_up_on_every_hello) {
  const int listener = listen("demo");
  brain([this, listener] {
    for (int i = 0; i < 50; ++i) accept_unasked(listener);
  });
  EXPECT_EQ(code_of(connect("demo", soon()).error()), Errc::protocol_violation);
}

TEST_F(ConnectionTest, gives_up_at_the_deadline_when_nobody_answers) {
  listen("demo");
  EXPECT_EQ(code_of(connect("demo", Deadline::in(1ms)).error()), Errc::timed_out);
}

TEST_F(ConnectionTest, hands_out_results_and_errors_of_requests) {
  const int listener = listen("demo");
  brain([this, listener] {
    const Caller caller = accept(listener);
    const auto status = caller.next();
    EXPECT_EQ(status.method, "status");
    EXPECT_EQ(status.params["all"], true);
    caller.answer(status, {{"workers", json::array()}});
    const auto kill = caller.next();
    caller.tell(1);  // a notification in between disturbs nobody
    caller.fail(kill.id, make_error(Errc::not_found, "worker x"));
    // An error that the supervisor tells is no error of the connection, whatever its code.
    caller.fail(caller.next().id, make_error(Errc::closed, "a file"));
    const auto slow = caller.next();
    const auto next = caller.next();
    caller.answer(slow, "late");
    caller.answer(next, "own");
  });
  auto system = connect("demo", soon()).value();
  const auto status = system.request("status", {{"all", true}}, soon());
  EXPECT_EQ(status.value(), (json{{"workers", json::array()}}));
  const auto killed = system.request("kill", {}, soon());
  EXPECT_EQ(code_of(killed.error()), Errc::not_found);
  EXPECT_EQ(killed.error().context, "worker x");
  EXPECT_EQ(code_of(system.request("x", {}, soon()).error()), Errc::closed);
  EXPECT_EQ(code_of(system.request("slow", {}, Deadline::in(1ms)).error()), Errc::timed_out);
  EXPECT_EQ(system.request("next", {}, soon()).value(), "own");
  EXPECT_EQ(code_of(system.request("x", 5, soon()).error()), Errc::invalid_argument);
}

TEST_F(ConnectionTest, repeats_a_request_under_its_operation_when_the_brain_dies_over_it) {
  const int listener = listen("demo");
  json first, second;
  brain([&, listener] {
    first = accept(listener).next().params;  // dies with the request in its hands
    accept_unasked(listener);                // its successor dies before hello
    const Caller caller = accept(listener, demo(12));
    const auto request = caller.next();
    second = request.params;
    caller.answer(request, "done");
  });
  auto system = connect("demo", soon()).value();
  EXPECT_EQ(system.request("kill", {{"name", "echo.0"}}, soon()).value(), "done");
  EXPECT_EQ(system.system().brain_pid, 12);
  EXPECT_EQ(first["operation"], second["operation"]);
  EXPECT_TRUE(first["operation"].is_string());
  EXPECT_EQ(first["name"], "echo.0");
}

TEST_F(ConnectionTest, gives_each_request_an_operation_of_its_own) {
  const int listener = listen("demo");
  brain([this, listener] {
    const Caller caller = accept(listener);
    const auto one = caller.next();
    caller.answer(one, nullptr);
    const auto two = caller.next();
    caller.answer(two, nullptr);
    EXPECT_NE(one.params["operation"], two.params["operation"]);
    const auto three = caller.next();
    caller.answer(three, nullptr);
    EXPECT_EQ(three.params["operation"], "mine");
  });
  auto system = connect("demo", soon()).value();
  EXPECT_TRUE(system.request("kill", {}, soon()));
  EXPECT_TRUE(system.request("kill", {}, soon()));
  EXPECT_TRUE(system.request("kill", {{"operation", "mine"}}, soon()));
}

TEST_F(ConnectionTest, stops_repeating_a_request_that_kills_every_brain) {
  const int listener = listen("demo");
  brain([this, listener] {
    for (int i = 0; i < 6; ++i) (void)accept(listener).next();
  });
  auto system = connect("demo", soon()).value();
  EXPECT_EQ(code_of(system.request("poison", {}, soon()).error()), Errc::peer_died);
}

TEST_F(ConnectionTest, does_not_talk_to_another_system_of_the_same_name) {
  const int listener = listen("demo");
  brain([this, listener] {
    (void)accept(listener).next();
    accept(listener, demo(21, 20));
  });
  auto system = connect("demo", soon()).value();
  EXPECT_EQ(code_of(system.request("kill", {}, soon()).error()), Errc::no_system);
}

struct Told {
  std::vector<std::uint64_t> numbers;
  std::uint64_t missed = 0;
  std::function<bool(const json&)> until(std::uint64_t last) {
    return [this, last](const json& event) {
      if (event["type"] == "events.gap") {
        missed += event["missed"].get<std::uint64_t>();
        return true;
      }
      numbers.push_back(event["seq"].get<std::uint64_t>());
      return numbers.back() != last;
    };
  }
};

json page(std::vector<std::uint64_t> numbers, std::uint64_t next, bool complete = true,
          std::uint64_t gap = 0) {
  json events = json::array();
  for (const auto number : numbers) events.push_back({{"seq", number}, {"type", "worker.ready"}});
  return {{"events", events}, {"next", next}, {"gap", gap}, {"complete", complete}};
}

TEST_F(ConnectionTest, tells_each_event_once_over_pages_notifications_and_deaths_of_the_brain) {
  const int listener = listen("demo");
  brain([this, listener] {
    const Caller first = accept(listener);
    {
      const Caller follower = accept(listener);
      auto ask = follower.next();
      EXPECT_EQ(ask.method, "events");
      EXPECT_EQ(ask.params["since"], 3u);
      EXPECT_EQ(ask.params["follow"], true);
      follower.answer(ask, page({5, 6}, 7, false, 2));  // 3 and 4 are overwritten
      ask = follower.next();
      EXPECT_EQ(ask.params["since"], 7u);
      follower.answer(ask, page({7}, 8));
      follower.tell(7);  // was in the page already
      follower.tell(8);
    }
    {
      const Caller follower = accept(listener, demo(12));
      const auto ask = follower.next();
      EXPECT_EQ(ask.params["since"], 9u);
      follower.answer(ask, page({9}, 10));
      follower.tell(12);  // 10 and 11 were lost
      EXPECT_TRUE(follower.closed());
    }
    const Caller follower = accept(listener, demo(12));
    const auto ask = follower.next();
    EXPECT_EQ(ask.params["since"], 10u);
    follower.answer(ask, page({10, 11, 12}, 13));
    follower.tell(13);
    EXPECT_TRUE(follower.closed());
    EXPECT_TRUE(first.closed());
  });
  Told told;
  {
    auto system = connect("demo", soon()).value();
    EXPECT_TRUE(system.follow_events(3, told.until(13), soon()));
  }
  EXPECT_EQ(told.numbers, (std::vector<std::uint64_t>{5, 6, 7, 8, 9, 10, 11, 12, 13}));
  EXPECT_EQ(told.missed, 2u);
}

TEST_F(ConnectionTest, ends_following_events_with_its_deadline) {
  const int listener = listen("demo");
  brain([this, listener] {
    const Caller first = accept(listener);
    const Caller follower = accept(listener);
    follower.answer(follower.next(), page({1}, 2));
    EXPECT_TRUE(follower.closed());
  });
  auto system = connect("demo", soon()).value();
  StopFlag stop;
  const auto raise = [&stop](const json&) {
    stop.raise();
    return true;
  };
  const auto ended = system.follow_events(0, raise, soon().unless(stop));
  EXPECT_EQ(code_of(ended.error()), Errc::stopped);
}

struct Twice {
  static constexpr std::string_view name = "twice";
  using Request = int;
  using Response = int;
};

// The worker's end of a session: one request, then the end of its life.
void serve_once(UniqueFd socket) {
  ipc::EndSpec spec;
  spec.link = "math";
  spec.side = ipc::Side::to;
  spec.peer_life = ipc::PeerLife::single;
  auto endpoint = ipc::open_endpoint(Transport::unix_socket, std::move(spec)).value();
  ipc::LinkUpdate connection{ipc::LinkUpdate::Kind::sockets, 1, {}};
  connection.fds.push_back(std::move(socket));
  endpoint->post(std::move(connection));
  Channel channel(endpoint);
  Service service;
  service.on<Twice>([](int n) { return 2 * n; });
  for (;;) {
    if (auto message = channel.receive(soon()); message) {
      const auto frame = service.answer(message->copy()).value();
      EXPECT_TRUE(channel.send(frame, soon()));
      return;
    }
  }
}

TEST_F(ConnectionTest, calls_a_service_and_finds_it_again_after_a_death) {
  const int listener = listen("demo");
  brain([this, listener] {
    const Caller first = accept(listener);
    for (int life = 0; life < 3; ++life) {
      auto ends = ipc::make_sockets(Transport::unix_socket).value();
      {
        const Caller finder = accept(listener);
        const auto ask = finder.next();
        EXPECT_EQ(ask.method, "service.connect");
        EXPECT_EQ(ipc::decode<ipc::ServiceConnect>(ask.params).value().service, "math");
        const int fd = ends.from.front().get();
        if (life == 1) {
          finder.fail(ask.id, make_error(Errc::peer_died, "while it was being connected"));
          continue;
        }
        finder.answer(ask, ipc::encode(ipc::ServiceConnectAnswer{"session/1", "unix"}), {&fd, 1});
        ends.from.clear();
      }
      serve_once(std::move(ends.to.front()));
    }
  });
  auto system = connect("demo", soon()).value();
  auto math = system.client("math");
  EXPECT_EQ(math.call<Twice>(21, soon()).value(), 42);
  const auto again = math.call<Twice>(4, soon());
  if (again) {
    EXPECT_EQ(*again, 8);
  } else {  // the death came after the look and before the answer
    const auto end = code_of(again.error());
    EXPECT_TRUE(end == Errc::peer_died || end == Errc::closed);
    EXPECT_EQ(math.call<Twice>(4, soon()).value(), 8);
  }
}

TEST_F(ConnectionTest, says_that_nobody_provides_a_service) {
  const int listener = listen("demo");
  brain([this, listener] {
    const Caller first = accept(listener);
    const Caller finder = accept(listener);
    finder.fail(finder.next().id, make_error(Errc::not_found, "no worker provides x"));
  });
  auto system = connect("demo", soon()).value();
  auto nobody = system.client("x");
  EXPECT_EQ(code_of(nobody.call<Twice>(1, soon()).error()), Errc::not_found);
}

}  // namespace
}  // namespace bulkhead
