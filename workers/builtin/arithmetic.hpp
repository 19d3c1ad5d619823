// The methods of the "math" service as functions of JSON. Used by the math worker, which answers with
// them, and by the client worker, which checks answers against them. Must not know rpc.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>

namespace bulkhead::workers {

inline constexpr std::uint64_t primes_below_max = 200'000'000;
inline constexpr std::size_t matrix_rows_max = 512;

// Errors of all: invalid_argument, saying what the argument must look like.

// [1, 2] -> 3. Whole numbers stay whole where the sum fits into 64 bits.
[[nodiscard]] Result<nlohmann::json> add(const nlohmann::json& arguments);
// 10 or [10] -> 4: how many primes are below it.
[[nodiscard]] Result<nlohmann::json> count_primes(const nlohmann::json& arguments);
// [[[1,2],[3,4]], [[5],[6]]] -> [[17],[39]]: the product of two matrices.
[[nodiscard]] Result<nlohmann::json> matrix_product(const nlohmann::json& arguments);

}  // namespace bulkhead::workers
