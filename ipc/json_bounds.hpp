// How deep and large JSON from a peer may be, checked before anything recursive runs over it. Used
// by control packets and RPC bodies. Must not know what the JSON is for.
#pragma once

#include <bulkhead/error.hpp>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

namespace bulkhead::ipc {

inline constexpr std::size_t json_depth_max = 64;  // nesting of arrays and objects

// Whether a value of ours nests no deeper than `depth`; recurses at most that deep.
[[nodiscard]] bool nests_at_most(const nlohmann::json& value, std::size_t depth) noexcept;

// Parses text that a peer sent. Errors: protocol_violation.
[[nodiscard]] Result<nlohmann::json> parse_bounded(std::string_view text);

}  // namespace bulkhead::ipc
