// The fixture of the conformance suite: pairs over the transport under test, deadlines for calls that
// must not wait for ever, and a look at the descriptors afterwards.
#pragma once

#include <gtest/gtest.h>
#include <bulkhead/channel.hpp>

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/conformance/transports.hpp"
#include "tests/support/descriptors.hpp"

namespace bulkhead::test {

using Bytes = std::vector<std::byte>;

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}
inline std::string text_of(const Message& message) {
  return {reinterpret_cast<const char*>(message.bytes().data()), message.bytes().size()};
}

// For what must happen: long enough for a loaded machine, short enough to name the test that hangs.
inline Deadline soon() { return Deadline::in(std::chrono::seconds(30)); }
// For what must not happen.
inline Deadline briefly() { return Deadline::in(std::chrono::milliseconds(30)); }

class PairTest : public testing::TestWithParam<Transport> {
 protected:
  PairTest() : descriptors_before_(open_descriptors()) {}
  void TearDown() override { EXPECT_EQ(open_descriptors(), descriptors_before_); }

  // Both ends in this process.
  static std::pair<Channel, Channel> make_pair(ChannelOptions options = {}) {
    auto pair = connected_pair(GetParam(), options);
    EXPECT_TRUE(pair) << pair.error().to_string();
    return std::move(pair).value();
  }

  static void send_text(Channel& channel, std::string_view text) {
    const auto sent = channel.send(as_bytes(text), soon());
    ASSERT_TRUE(sent) << sent.error().to_string();
  }
  // Received, and acknowledged; on an error its text, which no test sends.
  static std::string receive_text(Channel& channel) {
    auto message = channel.receive(soon());
    return message ? text_of(*message) : "error: " + message.error().to_string();
  }
  static std::string receive_error(Channel& channel, Deadline deadline) {
    auto message = channel.receive(deadline);
    return message ? "no error" : message.error().code.message();
  }
  static std::string text_of_code(Errc code) { return make_error_code(code).message(); }

  // Sends `message` until the link is full and stays so: what tcp has taken moves on to the receiver's
  // buffer by itself. How many went in.
  static std::size_t fill(Channel& channel, std::span<const std::byte> message) {
    for (std::size_t sent = 0;; ++sent) {
      if (channel.try_send(message)) continue;
      const auto result = channel.send(message, briefly());
      if (result) continue;
      EXPECT_TRUE(result.error().is(Errc::timed_out)) << result.error().to_string();
      return sent;
    }
  }

 private:
  std::size_t descriptors_before_;
};

}  // namespace bulkhead::test
