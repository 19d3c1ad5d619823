// Bodies, frames, Service and Client, over a loopback where the test can play either end.
#include <bulkhead/rpc.hpp>

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <stdexcept>
#include <thread>

#include "ipc/rpc_frame.hpp"
#include "tests/support/loopback.hpp"

namespace bulkhead {

struct Point {
  std::int32_t x, y;
  bool operator==(const Point&) const = default;
};
template <>
inline constexpr bool raw_body<Point> = true;

namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using rpc::BodyKind;
using test::Loopback;

Deadline soon() { return Deadline::in(10s); }  // a watchdog, never reached when all is well

struct AddRequest {
  int a = 0, b = 0;
  NLOHMANN_DEFINE_TYPE_INTRUSIVE(AddRequest, a, b)
};
struct Add {
  static constexpr std::string_view name = "add";
  using Request = AddRequest;
  using Response = int;
};
struct Mirror {
  static constexpr std::string_view name = "mirror";
  using Request = Point;
  using Response = Point;
};
struct Negate {
  static constexpr std::string_view name = "negate";
  using Request = std::int16_t;
  using Response = std::int16_t;
};
struct Reverse {
  static constexpr std::string_view name = "reverse";
  using Request = std::span<const std::byte>;
  using Response = Bytes;
};
struct Join {
  static constexpr std::string_view name = "join";
  using Request = std::vector<std::string>;
  using Response = std::string;
};

Service example() {
  Service service;
  service.on<Add>([](const AddRequest& r) -> Result<int> { return r.a + r.b; })
      .on<Mirror>([](const Point& p) {
        return Point{p.y, p.x};
      })
      .on<Negate>([](std::int16_t n) -> Result<std::int16_t> {
        if (n == 0) return make_error(Errc::not_found, "no sign");
        if (n == 1) throw std::runtime_error("one is refused");
        if (n == 2) throw 2;
        return static_cast<std::int16_t>(-n);
      })
      .on<Reverse>(
          [](std::span<const std::byte> bytes) { return Bytes(bytes.rbegin(), bytes.rend()); })
      .on<Join>([](const std::vector<std::string>& parts) {
        std::string all;
        for (const auto& part : parts) all += part;
        return all;
      });
  return service;
}

Bytes to_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  return {bytes.begin(), bytes.end()};
}

Errc code_of(const Error& error) {
  EXPECT_EQ(&error.code.category(), &bulkhead_category()) << error.to_string();
  return static_cast<Errc>(error.code.value());
}

// A client whose service runs in a thread until the client goes.
struct Served {
  Loopback wire;
  Service service;
  Client client;
  Result<void> ended;
  std::thread server;

  explicit Served(Service s = example(), ChannelOptions options = {})
      : wire(options),
        service(std::move(s)),
        client(make_channel_connector(wire.from_channel())),
        server([this] {
          Channel channel = wire.to_channel();
          ended = serve(channel, service, Deadline::never());
        }) {}
  ~Served() {
    wire.from->die();
    server.join();
    EXPECT_EQ(code_of(ended.error()), Errc::peer_died);
  }
};

// A client whose server is the test itself.
struct Played {
  Loopback wire;
  Channel server = wire.to_channel();
  Client client{make_channel_connector(wire.from_channel())};

  // Starts a call whose fate the test decides, by answering beforehand or by letting it time out.
  std::uint64_t abandoned_call() {
    EXPECT_EQ(code_of(client.call<Negate>(5, Deadline::now()).error()), Errc::timed_out);
    return last_request();
  }
  std::uint64_t last_request() {
    const auto frame = server.receive(Deadline::now()).value().copy();
    return ipc::read_request(frame).value().call;
  }
  void answer(std::uint64_t call, std::int16_t value) {
    const auto reply = rpc::encode(value).value();
    ASSERT_TRUE(server.send(ipc::make_result(call, reply)));
  }
};

TEST(RpcBody, travels_as_messagepack_unless_it_is_raw) {
  EXPECT_EQ(rpc::encode(AddRequest{1, 2})->kind, BodyKind::msgpack);
  EXPECT_EQ(rpc::encode(std::string("x"))->kind, BodyKind::msgpack);
  EXPECT_EQ(rpc::encode(true)->kind, BodyKind::msgpack);
  EXPECT_EQ(rpc::encode(7)->kind, BodyKind::raw);
  EXPECT_EQ(rpc::encode(Point{1, 2})->kind, BodyKind::raw);
  EXPECT_EQ(rpc::encode(Bytes(3))->body.size(), 3u);
  EXPECT_EQ(rpc::encode(7, BodyKind::msgpack)->kind, BodyKind::msgpack);
  EXPECT_EQ(rpc::encode(Point{1, 2}, BodyKind::msgpack)->kind, BodyKind::raw);  // has no other form
}

TEST(RpcBody, comes_back_as_it_went) {
  const auto point = rpc::encode(Point{-1, 2}).value();
  EXPECT_EQ(rpc::decode<Point>(point.kind, point.body).value(), (Point{-1, 2}));
  for (const auto kind : {BodyKind::raw, BodyKind::msgpack}) {
    const auto number = rpc::encode(-70'000, kind).value();
    EXPECT_EQ(number.kind, kind);
    EXPECT_EQ(rpc::decode<int>(number.kind, number.body).value(), -70'000);
    const auto real = rpc::encode(0.1, kind).value();
    EXPECT_EQ(rpc::decode<double>(real.kind, real.body).value(), 0.1);
  }
  const json value{{"a", {1, nullptr, "x", 1.5}}};
  const auto packed = rpc::encode(value).value();
  EXPECT_EQ(rpc::decode<json>(packed.kind, packed.body).value(), value);
}

TEST(RpcBody, of_the_wrong_kind_or_size_is_refused_with_what_was_expected) {
  const auto context = [](const auto& result) { return result.error().context; };
  EXPECT_EQ(context(rpc::decode<Point>(BodyKind::raw, Bytes(7))),
            "7 raw bytes came, 8 were expected");
  EXPECT_EQ(context(rpc::decode<Point>(BodyKind::msgpack, Bytes(8))),
            "MessagePack came, raw bytes were expected");
  EXPECT_EQ(context(rpc::decode<AddRequest>(BodyKind::raw, Bytes(8))),
            "raw bytes came, MessagePack was expected");
  EXPECT_EQ(context(rpc::decode<Bytes>(BodyKind::msgpack, Bytes(8))),
            "MessagePack came, raw bytes were expected");
  EXPECT_EQ(code_of(rpc::decode<int>(BodyKind::raw, {}).error()), Errc::protocol_violation);
}

TEST(RpcBody, of_numbers_is_checked_against_their_range) {
  const auto as = [](const json& value) { return rpc::pack_json(value).value(); };
  EXPECT_EQ(rpc::decode<std::int8_t>(BodyKind::msgpack, as(-128)).value(), -128);
  EXPECT_FALSE(rpc::decode<std::int8_t>(BodyKind::msgpack, as(128)));
  EXPECT_FALSE(rpc::decode<std::uint32_t>(BodyKind::msgpack, as(-1)));
  EXPECT_FALSE(rpc::decode<int>(BodyKind::msgpack, as(1e300)));
  EXPECT_FALSE(rpc::decode<int>(BodyKind::msgpack, as("1")));
  EXPECT_FALSE(rpc::decode<double>(BodyKind::msgpack, as(nullptr)));
  EXPECT_EQ(rpc::decode<double>(BodyKind::msgpack, as(3)).value(), 3.0);
}

TEST(RpcBody, that_is_not_one_messagepack_value_is_refused) {
  for (const std::string_view text :
       {"", "\xc1", "\x92\x01", "\x01\x01", "\xdd\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff",
        "\x81\x01\x01", "\xc9\xff\xff\xff\xff"}) {
    const auto value = rpc::unpack_json(to_bytes(text));
    ASSERT_FALSE(value);
    EXPECT_EQ(code_of(value.error()), Errc::protocol_violation);
  }
  EXPECT_FALSE(rpc::decode<AddRequest>(BodyKind::msgpack, to_bytes("\x80")));  // fields missing
  EXPECT_FALSE(rpc::decode<Join::Request>(BodyKind::msgpack, to_bytes("\x91\x01")));
}

TEST(RpcBody, that_nests_deeply_is_refused_before_anything_recurses) {
  EXPECT_FALSE(rpc::unpack_json(Bytes(10'000'000, std::byte{0x91})));  // [[[[...
  Bytes maps;
  for (int i = 0; i < 1'000'000; ++i) maps.insert(maps.end(), {std::byte{0x81}, std::byte{0xa0}});
  EXPECT_FALSE(rpc::unpack_json(maps));
  json deep = 1;
  for (int i = 0; i < 64; ++i) deep = json::array({std::move(deep)});
  EXPECT_EQ(rpc::unpack_json(rpc::pack_json(deep).value()).value(), deep);
  EXPECT_EQ(code_of(rpc::pack_json(json::array({deep})).error()), Errc::invalid_argument);
}

TEST(RpcBody, of_random_bytes_does_no_harm) {
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  RecordProperty("seed", std::to_string(seed));
  for (int round = 0; round < 5'000; ++round) {
    Bytes bytes(random() % 24);
    for (auto& byte : bytes) byte = std::byte(random() % 256);
    if (const auto value = rpc::unpack_json(bytes)) {
      EXPECT_TRUE(rpc::unpack_json(rpc::pack_json(*value).value())) << "seed " << seed;
    }
    (void)rpc::decode<AddRequest>(BodyKind::msgpack, bytes);
    (void)rpc::decode<Point>(BodyKind::raw, bytes);
    (void)ipc::read_request(bytes);
    (void)ipc::read_answer(bytes);
  }
}

TEST(RpcFrame, that_breaks_a_rule_is_refused) {
  const Bytes good = ipc::make_request({7, "add", BodyKind::raw, to_bytes("xy")}).value();
  const auto read = ipc::read_request(good).value();
  EXPECT_EQ(read.call, 7u);
  EXPECT_EQ(read.method, "add");
  EXPECT_EQ(read.body.size(), 2u);
  for (std::size_t size = 0; size < 19; ++size) {
    EXPECT_FALSE(ipc::read_request(std::span(good).first(size))) << size;
  }
  for (std::size_t at = 0; at < 8; ++at) {
    Bytes bad = good;
    bad[at] = std::byte{0xff};
    EXPECT_FALSE(ipc::read_request(bad)) << at;
  }
  EXPECT_FALSE(ipc::read_answer(good));
  const Bytes result = ipc::make_result(7, {BodyKind::raw, to_bytes("xy")});
  EXPECT_FALSE(ipc::read_request(result));
  for (std::size_t at = 0; at < 8; ++at) {
    Bytes bad = result;
    bad[at] = std::byte{0xff};
    EXPECT_FALSE(ipc::read_answer(bad)) << at;
  }
  EXPECT_EQ(code_of(ipc::make_request({7, "", BodyKind::raw, {}}).error()), Errc::invalid_argument);
  EXPECT_FALSE(ipc::make_request({7, std::string(257, 'x'), BodyKind::raw, {}}));
  EXPECT_TRUE(ipc::make_request({7, std::string(256, 'x'), BodyKind::raw, {}}));
}

// A service must not make its client believe in a death, a stop or a timeout.
TEST(RpcFrame, carries_only_codes_that_are_the_service_s_to_give) {
  for (int code = 0; code < 40; ++code) {
    const Bytes frame = ipc::make_error_answer(1, static_cast<Errc>(code), "text", 1000);
    const auto read = ipc::read_answer(frame).value().code;
    const bool own = code == static_cast<int>(Errc::method_not_found) ||
                     code == static_cast<int>(Errc::invalid_argument) ||
                     code == static_cast<int>(Errc::message_too_big);
    EXPECT_EQ(read, own ? static_cast<Errc>(code) : Errc::remote_error);
  }
}

TEST(RpcCall, returns_what_the_method_returned) {
  Served served;
  EXPECT_EQ(served.client.call<Add>({1, 2}, soon()).value(), 3);
  EXPECT_EQ(served.client.call<Mirror>({1, 2}, soon()).value(), (Point{2, 1}));
  EXPECT_EQ(served.client.call<Negate>(5, soon()).value(), -5);
  EXPECT_EQ(served.client.call<Reverse>(to_bytes("abc"), soon()).value(), to_bytes("cba"));
  EXPECT_EQ(served.client.call<Join>({"a", "b"}, soon()).value(), "ab");
  EXPECT_EQ(served.client.call_json("add", {{"a", 1}, {"b", 2}}, soon()).value(), 3);
  EXPECT_EQ(served.client.call_json("negate", 7, soon()).value(), -7);
  EXPECT_EQ(served.client.stats().calls, 7u);
}

TEST(RpcCall, carries_empty_bodies) {
  Served served;
  EXPECT_EQ(served.client.call<Reverse>({}, soon()).value(), Bytes());
  EXPECT_EQ(served.client.call<Join>({}, soon()).value(), "");
}

TEST(RpcCall, turns_whatever_a_method_does_wrong_into_remote_error) {
  Served served;
  const auto returned = served.client.call<Negate>(0, soon());
  EXPECT_EQ(code_of(returned.error()), Errc::remote_error);
  EXPECT_EQ(returned.error().context, "call of negate: no sign: not found");
  const auto thrown = served.client.call<Negate>(1, soon());
  EXPECT_EQ(code_of(thrown.error()), Errc::remote_error);
  EXPECT_EQ(thrown.error().context, "call of negate: one is refused");
  EXPECT_EQ(code_of(served.client.call<Negate>(2, soon()).error()), Errc::remote_error);
  EXPECT_EQ(served.client.call<Negate>(3, soon()).value(), -3);  // the service goes on
}

TEST(RpcCall, of_an_unknown_method_tells_which_there_are) {
  Served served;
  const auto answer = served.client.call_json("substract", 1, soon());
  EXPECT_EQ(code_of(answer.error()), Errc::method_not_found);
  EXPECT_NE(answer.error().context.find("add, mirror"), std::string::npos);
}

TEST(RpcCall, with_a_request_that_the_method_cannot_read_is_an_invalid_argument) {
  Served served;
  EXPECT_EQ(code_of(served.client.call_json("mirror", 1, soon()).error()), Errc::invalid_argument);
  EXPECT_EQ(code_of(served.client.call_json("add", {{"a", 1}}, soon()).error()),
            Errc::invalid_argument);
  EXPECT_EQ(code_of(served.client.call_raw("add", BodyKind::raw, Bytes(3), soon()).error()),
            Errc::invalid_argument);
  EXPECT_EQ(served.client.call<Add>({1, 2}, soon()).value(), 3);
}

TEST(RpcCall, says_so_when_json_cannot_hold_the_answer) {
  Service service;
  service.on_raw("blob", [](BodyKind, std::span<const std::byte>) -> Result<rpc::Reply> {
    return rpc::Reply{BodyKind::raw, Bytes(5)};
  });
  service.on<Join>([](const std::vector<std::string>&) { return std::string("\xff"); });
  Served served(std::move(service));
  const auto text = served.client.call_json("join", json::array(), soon());
  EXPECT_EQ(code_of(text.error()), Errc::unsupported);
  EXPECT_EQ(served.client.call<Join>({}, soon()).value(), "\xff");  // C++ may
  EXPECT_EQ(code_of(served.client.call_json("blob", nullptr, soon()).error()), Errc::unsupported);
}

TEST(RpcCall, that_does_not_fit_is_refused_on_either_side) {
  ChannelOptions options;
  options.max_message = 256;
  Service service = example();
  service.on_raw("grow", [](BodyKind, std::span<const std::byte>) -> Result<rpc::Reply> {
    return rpc::Reply{BodyKind::raw, Bytes(1000)};
  });
  service.on_raw("shout", [](BodyKind, std::span<const std::byte>) -> Result<rpc::Reply> {
    return make_error(Errc::remote_error, std::string(1000, 'x'));
  });
  Served served(std::move(service), options);
  const std::size_t room = 256 - 16 - Reverse::name.size();
  EXPECT_TRUE(served.client.call<Reverse>(Bytes(room), soon()));
  EXPECT_EQ(code_of(served.client.call<Reverse>(Bytes(room + 1), soon()).error()),
            Errc::message_too_big);
  EXPECT_EQ(code_of(served.client.call_raw("grow", BodyKind::raw, {}, soon()).error()),
            Errc::message_too_big);
  EXPECT_EQ(code_of(served.client.call_raw("shout", BodyKind::raw, {}, soon()).error()),
            Errc::remote_error);
  EXPECT_EQ(served.client.call<Add>({1, 2}, soon()).value(), 3);
}

TEST(RpcCall, ends_at_its_deadline_and_drops_the_late_answer) {
  Played played;
  const auto late = played.abandoned_call();
  played.answer(late, 111);
  played.answer(late + 1, 222);  // the next call's, waiting for it already
  EXPECT_EQ(played.client.call<Negate>(6, soon()).value(), 222);
  EXPECT_EQ(played.client.stats().late_answers, 1u);
  EXPECT_EQ(played.client.stats().unknown_answers, 0u);
}

TEST(RpcCall, ignores_answers_to_calls_that_it_never_made) {
  Played played;
  const auto call = played.abandoned_call();
  played.answer(call - 1, 1);  // a predecessor's, perhaps
  played.answer(call + 1000, 2);
  played.answer(0, 3);
  played.answer(call + 1, 4);
  EXPECT_EQ(played.client.call<Negate>(6, soon()).value(), 4);
  EXPECT_EQ(played.client.stats().unknown_answers, 3u);
}

TEST(RpcCall, keeps_its_deadline_against_a_flood_of_foreign_answers) {
  Played played;
  for (int i = 0; i < 1000; ++i) played.answer(0, 1);
  EXPECT_EQ(code_of(played.client.call<Negate>(6, Deadline::now()).error()), Errc::timed_out);
}

TEST(RpcCall, of_two_clients_never_has_the_same_id) {
  Played first, second;
  EXPECT_NE(first.abandoned_call(), second.abandoned_call());
}

TEST(RpcCall, fails_at_once_when_the_server_dies_and_connects_anew_after_that) {
  struct Again final : Connector {
    Loopback first, second;
    std::optional<Channel> live;
    int connects = 0, drops = 0;
    Result<Channel*> connect(Deadline) override {
      if (!live) live.emplace(connects++ == 0 ? first.from_channel() : second.from_channel());
      return &*live;
    }
    void drop() noexcept override {
      ++drops;
      live.reset();
    }
  };
  auto owned = std::make_unique<Again>();
  Again& connector = *owned;
  Client client(std::move(owned));
  std::thread server([&] {
    Channel channel = connector.first.to_channel();
    EXPECT_TRUE(channel.receive(soon()));
    connector.first.to->die();  // with the call in flight
    Channel next = connector.second.to_channel();
    EXPECT_FALSE(serve(next, example(), soon()));
  });
  EXPECT_EQ(code_of(client.call<Add>({1, 2}, soon()).error()), Errc::peer_died);
  EXPECT_EQ(connector.drops, 1);
  EXPECT_EQ(client.call<Add>({1, 2}, soon()).value(), 3);
  EXPECT_EQ(connector.connects, 2);
  connector.second.from->die();
  server.join();
}

TEST(RpcCall, over_a_fixed_channel_that_failed_says_closed) {
  Played played;
  played.wire.to->die();
  EXPECT_EQ(code_of(played.client.call<Negate>(1, soon()).error()), Errc::peer_died);
  EXPECT_EQ(code_of(played.client.call<Negate>(1, soon()).error()), Errc::closed);
}

TEST(RpcCall, gives_up_a_server_that_does_not_speak_rpc) {
  Played played;
  ASSERT_TRUE(played.server.send(to_bytes("hello")));
  EXPECT_EQ(code_of(played.client.call<Negate>(1, soon()).error()), Errc::protocol_violation);
  EXPECT_EQ(code_of(played.client.call<Negate>(1, soon()).error()), Errc::closed);
}

TEST(RpcCall, refuses_an_answer_of_another_type) {
  Played played;
  const auto call = played.abandoned_call();
  ASSERT_TRUE(played.server.send(ipc::make_result(call + 1, {BodyKind::raw, Bytes(3)})));
  const auto answer = played.client.call<Negate>(1, soon());
  EXPECT_EQ(code_of(answer.error()), Errc::protocol_violation);
  EXPECT_EQ(answer.error().context, "answer to negate: 3 raw bytes came, 2 were expected");
}

TEST(RpcService, answers_only_what_is_there) {
  Loopback wire;
  Channel client = wire.from_channel(), server = wire.to_channel();
  EXPECT_FALSE(serve_one(server, example()).value());
  const auto body = rpc::encode(AddRequest{1, 2}).value();
  ASSERT_TRUE(client.send(ipc::make_request({1, "add", body.kind, body.body}).value()));
  EXPECT_TRUE(serve_one(server, example()).value());
  const auto frame = client.receive(Deadline::now()).value().copy();
  EXPECT_EQ(ipc::read_answer(frame).value().call, 1u);
}

TEST(RpcService, gives_up_a_client_that_does_not_speak_rpc_or_takes_no_answers) {
  Loopback wire;
  Channel client = wire.from_channel(), server = wire.to_channel();
  ASSERT_TRUE(client.send(to_bytes("hello")));
  EXPECT_EQ(code_of(serve_one(server, example()).error()), Errc::protocol_violation);

  wire.wire->messages_max = 1;
  const auto ask = ipc::make_request({1, "x", BodyKind::raw, {}}).value();
  ASSERT_TRUE(client.send(ask));
  EXPECT_TRUE(serve_one(server, example()).value());
  ASSERT_TRUE(client.send(ask));
  EXPECT_EQ(code_of(serve_one(server, example(), Deadline::in(1ms)).error()), Errc::timed_out);
}

TEST(RpcService, replaces_a_method_of_the_same_name) {
  Service service;
  service.on<Negate>([](std::int16_t n) { return n; });
  service.on<Negate>([](std::int16_t n) { return static_cast<std::int16_t>(n + 1); });
  EXPECT_EQ(service.methods(), (std::vector<std::string>{"negate"}));
  Served served(std::move(service));
  EXPECT_EQ(served.client.call<Negate>(4, soon()).value(), 5);
}

}  // namespace
}  // namespace bulkhead
