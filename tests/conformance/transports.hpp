// Over what the conformance suite runs. A new transport is one line here.
#pragma once

#include <gtest/gtest.h>
#include <bulkhead/channel.hpp>

#include <array>
#include <string>

namespace bulkhead::test {

inline constexpr std::array all_transports{
    Transport::shm,
    Transport::unix_socket,
    Transport::tcp,
    Transport::pipe,
};

// Those that carry frames, for tests that write raw bytes.
inline constexpr std::array wire_transports{
    Transport::unix_socket,
    Transport::tcp,
    Transport::pipe,
};

inline std::string transport_name(const testing::TestParamInfo<Transport>& transport) {
  return std::string(to_string(transport.param));
}

}  // namespace bulkhead::test

#define BULKHEAD_OVER_ALL_TRANSPORTS(suite)                                              \
  INSTANTIATE_TEST_SUITE_P(, suite, testing::ValuesIn(::bulkhead::test::all_transports), \
                           ::bulkhead::test::transport_name)
#define BULKHEAD_OVER_WIRE_TRANSPORTS(suite)                                              \
  INSTANTIATE_TEST_SUITE_P(, suite, testing::ValuesIn(::bulkhead::test::wire_transports), \
                           ::bulkhead::test::transport_name)
