// The services of the built-in workers as their callers see them. Used by the workers that serve them
// and by the client worker.
#pragma once

#include <bulkhead/rpc.hpp>
#include <nlohmann/json.hpp>
#include <string_view>

namespace bulkhead::workers {

struct JsonMethod {
  using Request = nlohmann::json;
  using Response = nlohmann::json;
};
struct Add : JsonMethod {
  static constexpr std::string_view name = "add";
};
struct Primes : JsonMethod {
  static constexpr std::string_view name = "primes";
};
struct MatrixProduct : JsonMethod {
  static constexpr std::string_view name = "matrix";
};
struct Echo : JsonMethod {
  static constexpr std::string_view name = "echo";
};

Service math_service();
Service echo_service();

}  // namespace bulkhead::workers
