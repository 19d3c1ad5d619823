// Durations and sizes as people write them, "250ms" and "64KiB": read, and written so that they
// read back the same. Used by the config, by workers for their own config, and by the command line.
#pragma once

#include <bulkhead/error.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::base {

// A number, with a fraction if need be, and one unit of ns, us, ms, s, m, h, d.
// Errors: invalid_argument, whose context quotes the text and shows what to write instead.
[[nodiscard]] Result<std::chrono::nanoseconds> parse_duration(std::string_view);

// A number, with a fraction if need be, and one unit of B, KiB, MiB, GiB, TiB; a whole number of
// bytes.
[[nodiscard]] Result<std::uint64_t> parse_size(std::string_view);

// In the largest unit that divides it: "250ms", "1m", "64KiB", "0ms", "0B".
std::string format_duration(std::chrono::nanoseconds);
std::string format_size(std::uint64_t bytes);

}  // namespace bulkhead::base
