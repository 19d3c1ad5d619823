// What a web process meets that anybody can reach: names that are not its own, clients that are slow, greedy, rude or
// many. Whatever they do, the next who asks properly is answered.
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <deque>
#include <random>

#include "tests/process/web_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

std::string status_line(const std::string& answer) { return answer.substr(0, answer.find('\r')); }

// All that comes back for these bytes.
std::string reply(const std::string& address, const std::string& bytes) {
  HttpClient client(address);
  client.send(bytes);
  return client.read_to_the_end();
}

TEST(HostileWeb, a_page_from_elsewhere_cannot_read_through_its_own_name) {
  WebSystem system(json{{"http", "127.0.0.1:0"}, {"http_hosts", {"metrics.example.org"}}});
  const auto address = system.address();
  const auto port = address.substr(address.rfind(':'));
  for (const std::string path : {"/metrics", "/status", "/healthz", "/"}) {
    const auto answer = fetch(address, path, "evil.example.org" + port);
    EXPECT_EQ(answer.status, 403) << path;
    EXPECT_EQ(answer.body.find("echo"), std::string::npos) << answer.body;
  }
  for (const std::string good : {"localhost", "127.0.0.1", "metrics.example.org"}) {
    EXPECT_EQ(fetch(address, "/status", good + port).status, 200) << good;
    EXPECT_EQ(fetch(address, "/status", good).status, 200) << good;
  }
}

TEST(HostileWeb, at_every_address_of_the_machine_the_one_that_was_dialled_counts) {
  WebSystem system(json{{"http", "0.0.0.0:0"}});
  const auto address = system.address();
  ASSERT_TRUE(address.starts_with("0.0.0.0:")) << address;
  const auto dialled = "127.0.0.1" + address.substr(address.rfind(':'));
  EXPECT_EQ(fetch(dialled, "/healthz").status, 200);
  EXPECT_EQ(fetch(dialled, "/healthz", address).status, 200);
  EXPECT_EQ(fetch(dialled, "/healthz", "127.0.0.2").status, 403);
  EXPECT_EQ(fetch(dialled, "/healthz", "evil.example.org").status, 403);
}

TEST(HostileWeb, a_request_names_exactly_one_host) {
  WebSystem system;
  const auto address = system.address();
  EXPECT_EQ(status_line(reply(address, "GET /status HTTP/1.1\r\nConnection: close\r\n\r\n")),
            "HTTP/1.1 400 Bad Request");
  EXPECT_EQ(status_line(reply(address, "GET /status HTTP/1.0\r\n\r\n")),
            "HTTP/1.0 400 Bad Request");
  EXPECT_EQ(status_line(reply(address, get("/status", "localhost", "Host: evil.example.org\r\n"))),
            "HTTP/1.1 400 Bad Request");
  EXPECT_EQ(status_line(reply(address, "GET /status HTTP/1.0\r\nHost: localhost\r\n\r\n")),
            "HTTP/1.0 200 OK");
}

TEST(HostileWeb, headers_without_end_are_cut_off) {
  WebSystem system;
  const auto address = system.address();
  const std::string begin = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n";
  EXPECT_EQ(status_line(reply(address, begin + "X: " + std::string(9000, 'x') + "\r\n\r\n")),
            "HTTP/1.1 431 Request Header Fields Too Large");
  std::string many = begin;
  while (many.size() < 9000) many += "X-" + std::to_string(many.size()) + ": y\r\n";
  EXPECT_EQ(status_line(reply(address, many)), "HTTP/1.1 431 Request Header Fields Too Large");
  EXPECT_EQ(status_line(reply(address, "GET /" + std::string(9000, 'x') + " HTTP/1.1\r\n\r\n")),
            "HTTP/1.1 431 Request Header Fields Too Large");
  // A megabyte of it, never read back until the end.
  HttpClient flood(address);
  flood.send(begin);
  for (int i = 0; i < 1000 && flood.send(std::string(1000, 'x') + ": y\r\n"); ++i) {
  }
  flood.read_to_the_end();
  EXPECT_EQ(fetch(address, "/healthz").status, 200);
}

TEST(HostileWeb, bodies_and_what_is_no_http_are_refused) {
  WebSystem system;
  const auto address = system.address();
  const auto code = [&](const std::string& bytes) {
    return status_line(reply(address, bytes)).substr(0, 12);
  };
  EXPECT_EQ(code(get("/status", "localhost", "Content-Length: 5\r\n") + "hello"), "HTTP/1.1 413");
  EXPECT_EQ(code(get("/status", "localhost", "Content-Length: 99999999999999999999999\r\n")),
            "HTTP/1.1 400");
  EXPECT_EQ(code(get("/status", "localhost", "Transfer-Encoding: chunked\r\n") +
                 "5\r\nhello\r\n0\r\n\r\n"),
            "HTTP/1.1 413");
  EXPECT_EQ(code("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(
      code(std::string("\x16\x03\x01\x02\x00\x01", 6) + std::string(100, '\xff') + "\r\n\r\n"),
      "HTTP/1.1 400");
  EXPECT_EQ(code("GET  HTTP/1.1\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(fetch(address, "/healthz").status, 200);
}

// Whatever the bytes are, they end nothing but their own connection.
TEST(HostileWeb, random_bytes_and_broken_requests_end_only_their_connection) {
  WebSystem system;
  const auto address = system.address();
  const int web = system.web_pid();
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::string good = get("/metrics", "localhost", "Accept: */*\r\nContent-Length: 0\r\n");
  for (int round = 0; round < 300; ++round) {
    std::string bytes = good;
    for (auto changes = random() % 8 + 1; changes > 0; --changes) {
      bytes[random() % bytes.size()] = static_cast<char>(random() % 256);
    }
    bytes.resize(random() % 4 == 0 ? random() % bytes.size() : bytes.size());
    HttpClient client(address);
    client.send(bytes);
    ::shutdown(client.fd(), SHUT_WR);
    client.read_to_the_end();
  }
  EXPECT_EQ(fetch(address, "/healthz").status, 200);
  EXPECT_EQ(system.web_pid(), web);
}

TEST(HostileWeb, who_is_slow_or_idle_is_shown_out) {
  WebSystem system;
  const auto address = system.address();
  HttpClient idle(address), slow(address), kept(address);
  slow.send("GET /metrics HT");
  kept.send(get("/healthz", "localhost"));
  EXPECT_EQ(kept.receive().status, 200);
  EXPECT_EQ(fetch(address, "/healthz").status, 200);  // stalled by nobody
  EXPECT_EQ(idle.read_to_the_end(), "");
  EXPECT_EQ(slow.read_to_the_end(), "");
  EXPECT_EQ(kept.read_to_the_end(), "");
}

TEST(HostileWeb, requests_that_are_sent_ahead_are_answered_in_order) {
  WebSystem system;
  HttpClient client(system.address());
  std::string ahead;
  for (int i = 0; i < 50; ++i) {
    ahead +=
        get("/healthz", "localhost") + get("/nowhere", "localhost") + get("/status", "localhost");
  }
  client.send(ahead);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(client.receive().body, "ok\n");
    EXPECT_EQ(client.receive().status, 404);
    EXPECT_EQ(client.receive().fields.at("content-type"), "application/json");
  }
}

// They ask and never read: what they asked for fills their sockets, and then their time is up.
TEST(HostileWeb, clients_that_never_read_stall_nobody) {
  WebSystem system;
  const auto address = system.address();
  std::deque<HttpClient> deaf;
  for (int i = 0; i < 150; ++i) {
    deaf.emplace_back(address);
    const int small = 1;
    ::setsockopt(deaf.back().fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    std::string ahead;
    for (int n = 0; n < 1000; ++n) ahead += get("/metrics", "localhost");
    deaf.back().send(ahead);
  }
  for (int i = 0; i < 20; ++i) EXPECT_EQ(fetch(address, "/metrics").status, 200);
}

TEST(HostileWeb, many_connections_that_say_nothing_keep_nobody_out) {
  WebSystem system;
  const auto address = system.address();
  const int web = system.web_pid();
  const auto descriptors = [&] {
    const auto list = std::filesystem::directory_iterator("/proc/" + std::to_string(web) + "/fd");
    return std::distance(begin(list), end(list));
  };
  std::deque<HttpClient> silent;
  for (int i = 0; i < 1000; ++i) silent.emplace_back(address);
  EXPECT_EQ(fetch(address, "/healthz").status, 200);
  EXPECT_LT(descriptors(), 160);
  // Who has waited longest was shown out.
  EXPECT_EQ(silent.front().read_to_the_end(), "");
  EXPECT_EQ(system.web_pid(), web);
}

}  // namespace
}  // namespace bulkhead::test
