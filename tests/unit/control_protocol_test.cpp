// The messages of the control protocol: there and back, and what is said about wrong ones.
#include "ipc/control_protocol.hpp"
#include "ipc/queue_protocol.hpp"
#include "ipc/sandbox_protocol.hpp"
#include "ipc/sealed_protocol.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <limits>

namespace bulkhead::ipc {
namespace {

// What a receiver reads is what text carried, so every message takes the way over text here.
Json over_text(const Json& value) { return Json::parse(value.dump()); }

template <class T>
T there_and_back(const T& message) {
  auto read = decode<T>(over_text(encode(message)));
  EXPECT_TRUE(read) << (read ? "" : read.error().to_string());
  return read.value();
}

template <class T>
void expect_every_field_checked(const T& message, const std::vector<std::string>& required) {
  const Json good = over_text(encode(message));
  for (const auto& field : required) {
    Json without = good;
    ASSERT_EQ(without.erase(field), 1u) << field;
    const auto missing = decode<T>(without);
    ASSERT_FALSE(missing) << field;
    EXPECT_TRUE(missing.error().is(Errc::protocol_violation));
    EXPECT_NE(missing.error().context.find("field " + field + " is missing"), std::string::npos)
        << missing.error().context;
    for (const Json& wrong : {Json(nullptr), Json(-1), Json(1.5), Json::array({1}), Json(true)}) {
      Json bad = good;
      bad[field] = wrong;
      if (bad[field].type() == good[field].type()) continue;
      EXPECT_FALSE(decode<T>(bad)) << field << " = " << wrong;
    }
  }
  Json extra = good;
  extra["from_the_future"] = {1, 2};
  EXPECT_TRUE(decode<T>(extra));
  for (const Json& other : {Json(nullptr), Json(1), Json::array(), Json("x")}) {
    EXPECT_FALSE(decode<T>(other));
  }
}

TEST(JsonRpc, tells_requests_notifications_results_and_errors_apart) {
  const Json asked = over_text(request(7, method::link_open, {{"pair", "p"}}));
  auto message = read_message(asked).value();
  EXPECT_EQ(message.kind, ControlMessage::Kind::request);
  EXPECT_EQ(message.id, 7u);
  EXPECT_EQ(message.method, "link.open");
  EXPECT_EQ((*message.content)["pair"], "p");

  const Json told = over_text(notification(method::ready, Json::object()));
  EXPECT_EQ(read_message(told).value().kind, ControlMessage::Kind::notification);

  const Json answered = over_text(result(7, nullptr));
  message = read_message(answered).value();
  EXPECT_EQ(message.kind, ControlMessage::Kind::result);
  EXPECT_TRUE(message.is_answer());
  EXPECT_TRUE(message.content->is_null());

  const Json failed = over_text(error_answer(7, make_error(Errc::not_found, "worker x")));
  message = read_message(failed).value();
  EXPECT_EQ(message.kind, ControlMessage::Kind::error);
  EXPECT_EQ(message.id, 7u);
}

TEST(JsonRpc, takes_a_message_without_params_as_one_with_empty_params) {
  const Json body{{"jsonrpc", "2.0"}, {"id", 1}, {"method", "x"}};
  EXPECT_TRUE(read_message(over_text(body)).value().content->is_object());
}

TEST(JsonRpc, refuses_what_is_no_message) {
  for (const char* text :
       {"1", "[]", "null", "{}", R"({"jsonrpc":"1.0","id":1,"method":"x"})",
        R"({"jsonrpc":2.0,"id":1,"method":"x"})", R"({"jsonrpc":"2.0"})",
        R"({"jsonrpc":"2.0","id":-1,"method":"x"})", R"({"jsonrpc":"2.0","id":"1","method":"x"})",
        R"({"jsonrpc":"2.0","id":1.5,"result":1})", R"({"jsonrpc":"2.0","id":1,"method":5})",
        R"({"jsonrpc":"2.0","id":1,"method":"x","params":[1]})", R"({"jsonrpc":"2.0","id":1})",
        R"({"jsonrpc":"2.0","id":1,"result":1,"error":{}})", R"({"jsonrpc":"2.0","result":1})"}) {
    const Json body = Json::parse(text);
    const auto message = read_message(body);
    ASSERT_FALSE(message) << text;
    EXPECT_TRUE(message.error().is(Errc::protocol_violation));
  }
}

TEST(JsonRpc, carries_every_code_and_text_of_an_error) {
  for (int code = static_cast<int>(Errc::timed_out); code <= static_cast<int>(Errc::cancelled);
       ++code) {
    const auto sent = make_error(static_cast<Errc>(code), "worker echo.1");
    const auto read = error_from(over_text(error_answer(1, sent)));
    EXPECT_EQ(read.code, sent.code);
    EXPECT_EQ(read.context, sent.context);
  }
  const auto sent = errno_error(ENOENT, "/nowhere");
  EXPECT_EQ(error_from(over_text(error_answer(1, sent))).code, sent.code);
  EXPECT_EQ(error_answer(1, make_error(Errc::method_not_found, "x"))["error"]["code"], -32601);
}

TEST(JsonRpc, reads_errors_of_strangers) {
  for (const char* text :
       {"1", "null", "{}", R"({"error":5})", R"({"error":{"message":5}})",
        R"({"error":{"data":{"errc":99999}}})", R"({"error":{"data":{"errc":-1}}})",
        R"({"error":{"data":{"errc":"x"}}})", R"({"error":{"code":18446744073709551615}})",
        R"({"error":{"data":{"errc":18446744073709551615}}})"}) {
    EXPECT_TRUE(error_from(Json::parse(text)).is(Errc::remote_error)) << text;
  }
  EXPECT_TRUE(
      error_from(Json::parse(R"({"code":-32601,"message":"no"})")).is(Errc::method_not_found));
}

TEST(FieldReader, names_message_and_field) {
  const auto missing = decode<LinkPeer>(Json{{"pair", "p"}, {"kind", "peer_died"}});
  EXPECT_EQ(missing.error().context, "control message link.peer: field epoch is missing");
  const auto wrong = decode<LinkPeer>(Json{{"pair", "p"}, {"epoch", 1u}, {"kind", "gone"}});
  EXPECT_EQ(wrong.error().context,
            "control message link.peer: field kind is none of peer_segment, peer_died, sockets, "
            "peer_closed");
}

TEST(FieldReader, checks_numbers_against_the_range_of_their_type) {
  for (const Json& value :
       {Json(65536u), Json(-1), Json(std::numeric_limits<std::uint64_t>::max())}) {
    EXPECT_FALSE(decode<LinkOffer>(Json{{"pair", "p"}, {"epoch", value}})) << value;
  }
  EXPECT_EQ(decode<LinkOffer>(Json{{"pair", "p"}, {"epoch", 65535u}}).value().epoch, 65535);
}

TEST(Hello, refuses_other_versions_and_names_both) {
  HelloWorker hello;
  hello.generation = 4;
  EXPECT_EQ(there_and_back(hello).generation, 4u);
  EXPECT_TRUE(check_versions(there_and_back(hello).versions, "worker echo.0"));

  hello.versions.layout ^= 1;
  auto refused = check_versions(there_and_back(hello).versions, "worker echo.0");
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::version_mismatch));

  hello.versions = {};
  hello.versions.major = 9;
  hello.versions.minor = 3;
  refused = check_versions(there_and_back(hello).versions, "worker echo.0");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().context.find("worker echo.0 speaks protocol 9.3"), std::string::npos);
  EXPECT_NE(refused.error().context.find("we speak 1.0"), std::string::npos);

  hello.versions = {};
  hello.versions.minor = 3;  // a newer minor only adds
  EXPECT_TRUE(check_versions(there_and_back(hello).versions, "worker echo.0"));
}

TEST(Hello, tells_workers_from_clients) {
  EXPECT_EQ(hello_role(encode(HelloWorker{})).value(), HelloRole::worker);
  EXPECT_EQ(hello_role(encode(HelloClient{})).value(), HelloRole::client);
  EXPECT_FALSE(hello_role(Json{{"role", "king"}}));
  EXPECT_FALSE(hello_role(Json::array()));
}

TEST(Hello, refuses_malformed_versions) {
  for (const Json& protocol :
       {Json(1), Json::array(), Json::array({1}), Json::array({1, 0, 0}), Json::array({1, 65536}),
        Json::array({-1, 0}), Json::array({"1", 0})}) {
    Json hello = encode(HelloClient{});
    hello["protocol"] = protocol;
    EXPECT_FALSE(decode<HelloClient>(over_text(hello))) << protocol;
  }
  for (const char* layout : {"", "xyz", "12345678123456789", "-1", "12 "}) {
    Json hello = encode(HelloClient{});
    hello["layout"] = layout;
    EXPECT_FALSE(decode<HelloClient>(hello)) << layout;
  }
}

TEST(Messages, come_back_as_they_went) {
  const HelloAnswer hello{"echo.1", "echo",           1,    3,           Json{{"a", {1, 2}}}, 5,
                          2000,     {"echo", "math"}, true, "MARK=7/1/3"};
  const auto hello_read = there_and_back(hello);
  EXPECT_EQ(hello_read.name, "echo.1");
  EXPECT_EQ(hello_read.worker, "echo");
  EXPECT_EQ(hello_read.index, 1u);
  EXPECT_EQ(hello_read.generation, 3u);
  EXPECT_EQ(hello_read.config, hello.config);
  EXPECT_EQ(hello_read.links, 5u);
  EXPECT_EQ(hello_read.watchdog_ms, 2000u);
  EXPECT_EQ(hello_read.provides, hello.provides);
  EXPECT_TRUE(hello_read.crash);
  EXPECT_EQ(hello_read.cookie, hello.cookie);
  EXPECT_EQ(encode(hello)["fds"], Json({"attention", "crash", "output"}));

  HelloClientAnswer client;
  client.system = "demo";
  client.brain_pid = 11;
  client.keeper_pid = 10;
  const auto client_read = there_and_back(client);
  EXPECT_EQ(client_read.system, "demo");
  EXPECT_EQ(client_read.brain_pid, 11);
  EXPECT_EQ(client_read.keeper_pid, 10);

  EXPECT_EQ(there_and_back(Ready{7}).generation, 7u);
  EXPECT_EQ(there_and_back(LinkOffer{"p", 3}).epoch, 3);
  EXPECT_EQ(there_and_back(LinkKept{"p", 4}).epoch, 4);
  EXPECT_EQ(there_and_back(LinkClosed{"p", 3}).pair, "p");
  EXPECT_EQ(there_and_back(ServiceConnect{"math", 500}).timeout_ms, 500u);
  EXPECT_EQ(there_and_back(ServiceConnectAnswer{"p", "unix"}).transport, "unix");
  EXPECT_EQ(there_and_back(ServiceConnectAnswer{"p", ""}).transport, "");
  EXPECT_EQ(there_and_back(Stop{5000}).timeout_ms, 5000u);
}

TEST(Messages, open_a_link_with_all_that_an_end_needs) {
  LinkOpen open;
  open.pair = "session/17/client.0/math.0";
  open.link = "math";
  open.role = LinkRole::server;
  open.service = "math";
  open.side = Side::to;
  open.peer = "client.0";
  open.peer_generation = 9;
  open.epoch = 12;
  open.transport = Transport::unix_socket;
  open.options = {1 << 16, 1 << 12, WaitMode::block};
  open.session = true;
  open.predecessor = true;
  EXPECT_EQ(encode(open)["fds"], Json::array({"predecessor"}));
  const auto read = there_and_back(open);
  EXPECT_EQ(read.pair, open.pair);
  EXPECT_EQ(read.link, open.link);
  EXPECT_EQ(read.role, open.role);
  EXPECT_EQ(read.service, open.service);
  EXPECT_EQ(read.side, open.side);
  EXPECT_EQ(read.peer, open.peer);
  EXPECT_EQ(read.peer_generation, open.peer_generation);
  EXPECT_EQ(read.epoch, open.epoch);
  EXPECT_EQ(read.transport, open.transport);
  EXPECT_EQ(read.options.capacity, open.options.capacity);
  EXPECT_EQ(read.options.max_message, open.options.max_message);
  EXPECT_EQ(read.options.wait, open.options.wait);
  EXPECT_TRUE(read.session);
  EXPECT_TRUE(read.predecessor);
  EXPECT_FALSE(read.journal);
  EXPECT_EQ(read.max_attempts, 0);
  open.journal = true;
  open.max_attempts = 3;
  EXPECT_EQ(encode(open)["fds"], Json::array({"predecessor", "journal"}));
  EXPECT_TRUE(there_and_back(open).journal);
  EXPECT_EQ(there_and_back(open).max_attempts, 3);
  open.predecessor = false;
  EXPECT_FALSE(there_and_back(open).predecessor);
  EXPECT_TRUE(there_and_back(open).journal);
  EXPECT_FALSE(there_and_back(open).lease);
  open.lease = true;
  EXPECT_TRUE(there_and_back(open).lease);
  open.epoch = 0;
  EXPECT_FALSE(decode<LinkOpen>(encode(open)));
}

TEST(Messages, say_of_a_topic_what_the_policy_of_its_subscriber_is) {
  LinkOpen open;
  open.pair = "ticks/ticker.0/sink.0";
  open.link = "ticks";
  open.peer = "sink.0";
  EXPECT_FALSE(there_and_back(open).topic);
  for (const auto overflow :
       {Overflow::block, Overflow::drop_oldest, Overflow::drop_newest, Overflow::conflate}) {
    open.topic = TopicPolicy{overflow, 7};
    EXPECT_EQ(encode(open)["topic"]["overflow"], to_string(overflow));
    EXPECT_EQ(there_and_back(open).topic, open.topic);
  }
  for (const Json& wrong : {Json(1), Json::object(), Json{{"overflow", "drop"}},
                            Json{{"overflow", "block"}, {"history", -1}}}) {
    Json message = encode(open);
    message["topic"] = wrong;
    EXPECT_FALSE(decode<LinkOpen>(message)) << wrong;
  }
}

TEST(Messages, tell_each_kind_of_change_of_a_peer) {
  using Kind = LinkUpdate::Kind;
  for (const auto kind : {Kind::peer_segment, Kind::peer_died, Kind::sockets, Kind::peer_closed}) {
    const auto read = there_and_back(LinkPeer{"p", 2, kind, {"read", "write"}});
    EXPECT_EQ(read.kind, kind);
    EXPECT_EQ(read.epoch, 2);
    EXPECT_EQ(read.fds, (std::vector<std::string>{"read", "write"}));
  }
}

TEST(Messages, answer_a_resync_with_links_and_sessions) {
  ResyncAnswer answer;
  answer.generation = 2;
  answer.phase = WorkerPhase::stopping;
  answer.links = {{"a", 1}, {"b", 2}};
  answer.sessions = {{"s", 3, "client.0", 4}};
  const auto read = there_and_back(answer);
  EXPECT_EQ(read.phase, WorkerPhase::stopping);
  ASSERT_EQ(read.links.size(), 2u);
  EXPECT_EQ(read.links[1].pair, "b");
  EXPECT_EQ(read.links[1].epoch, 2);
  ASSERT_EQ(read.sessions.size(), 1u);
  EXPECT_EQ(read.sessions[0].peer, "client.0");
  EXPECT_EQ(read.sessions[0].peer_generation, 4u);

  Json bad = encode(answer);
  bad["links"][1].erase("epoch");
  EXPECT_EQ(decode<ResyncAnswer>(bad).error().context,
            "control message resync (answer), links: field epoch is missing");
  bad = encode(answer);
  bad["sessions"] = 5;
  EXPECT_FALSE(decode<ResyncAnswer>(bad));
  bad["sessions"] = Json::array({5});
  EXPECT_FALSE(decode<ResyncAnswer>(bad));
}

TEST(Messages, list_sealed_buffers_in_order) {
  const SealedList list{{{7, 100}, {~std::uint64_t{0}, 1}}};
  EXPECT_EQ(there_and_back(list).tickets, list.tickets);
  Json bad = encode(list);
  bad["tickets"][1].erase("bytes");
  EXPECT_FALSE(decode<SealedList>(bad));
  bad["tickets"] = Json::array({5});
  EXPECT_FALSE(decode<SealedList>(bad));
}

TEST(Messages, tell_of_a_sandbox_what_to_do_and_what_was_done) {
  const auto install = there_and_back(SandboxInstall{{"/usr", "/lib"}, {"/var/lib/app"}});
  EXPECT_EQ(install.read, (std::vector<std::string>{"/usr", "/lib"}));
  EXPECT_EQ(install.write, (std::vector<std::string>{"/var/lib/app"}));
  EXPECT_EQ(encode(SandboxInstall{})["fds"], Json::array({"filter"}));
  const auto installed = there_and_back(SandboxInstalled{{"seccomp"}, {"landlock: none"}});
  EXPECT_EQ(installed.in_effect, (std::vector<std::string>{"seccomp"}));
  EXPECT_EQ(installed.refused, (std::vector<std::string>{"landlock: none"}));
  expect_every_field_checked(SandboxInstall{}, {"read", "write"});
  expect_every_field_checked(SandboxInstalled{}, {"in_effect", "refused"});
}

TEST(Messages, are_checked_field_by_field) {
  expect_every_field_checked(HelloWorker{}, {"generation", "protocol", "layout"});
  expect_every_field_checked(HelloAnswer{"a.0", "a", 0, 1, {}, 0, 0, {}, false, ""},
                             {"name", "worker", "index", "generation", "links"});
  expect_every_field_checked(HelloClientAnswer{{}, "demo", 1, 2},
                             {"system", "brain_pid", "keeper_pid", "protocol", "layout"});
  expect_every_field_checked(LinkOpen{}, {"pair", "link", "role", "side", "peer", "epoch",
                                          "transport", "capacity", "max_message", "wait"});
  expect_every_field_checked(LinkPeer{}, {"pair", "epoch", "kind"});
  expect_every_field_checked(LinkOffer{}, {"pair", "epoch"});
  expect_every_field_checked(LinkKept{}, {"pair", "epoch"});
  expect_every_field_checked(TaskQuarantined{}, {"pair", "task", "attempts", "since_ns"});
  expect_every_field_checked(SealedKeep{}, {"number", "bytes"});
  expect_every_field_checked(SealedName{}, {"number", "bytes"});
  expect_every_field_checked(SealedList{}, {"tickets"});
  expect_every_field_checked(ServiceConnect{}, {"service", "timeout_ms"});
  expect_every_field_checked(Stop{}, {"timeout_ms"});
  expect_every_field_checked(ResyncAnswer{}, {"generation", "phase", "links", "sessions"});
}

Packet packet_with(const std::vector<std::string>& names, std::size_t descriptors) {
  Packet packet;
  packet.body = notification("x", {{"fds", names}});
  for (std::size_t i = 0; i < descriptors; ++i) {
    packet.fds.push_back(base::make_memfd("test", false).value());
  }
  return packet;
}

TEST(Descriptors, are_taken_by_name_and_once) {
  Packet packet = packet_with({"beat", "segment"}, 2);
  const int second = packet.fds[1].get();
  EXPECT_EQ(fd_named(packet, "segment").value().get(), second);
  EXPECT_FALSE(fd_named(packet, "segment"));
  EXPECT_TRUE(fd_named(packet, "beat"));
  EXPECT_FALSE(fd_named(packet, "nothing"));
}

TEST(Descriptors, are_found_in_an_answer_too) {
  Packet packet = packet_with({}, 1);
  packet.body = result(1, {{"fds", {"attention"}}});
  EXPECT_TRUE(fd_named(packet, "attention"));
}

TEST(Descriptors, that_did_not_come_or_were_not_named_are_an_error) {
  Packet packet = packet_with({"segment"}, 0);
  EXPECT_TRUE(fd_named(packet, "segment").error().is(Errc::protocol_violation));
  EXPECT_FALSE(take_fds(packet));
  packet = packet_with({}, 1);
  EXPECT_FALSE(take_fds(packet));
  packet.body = Json::array({1});
  EXPECT_FALSE(fd_named(packet, "segment"));
  packet.body = {{"params", {{"fds", 5}}}};
  EXPECT_FALSE(fd_named(packet, "segment"));
  packet.body = {{"params", {{"fds", {5}}}}};
  EXPECT_FALSE(fd_named(packet, "segment"));
  packet = packet_with({"read", "write"}, 2);
  EXPECT_EQ(take_fds(packet).value().size(), 2u);
}

}  // namespace
}  // namespace bulkhead::ipc
