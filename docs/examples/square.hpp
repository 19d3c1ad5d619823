// What callers of the "square" service and the service itself agree on. Quoted in docs/guide-worker.md.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

struct SquareRequest {
  double side = 0;
  NLOHMANN_DEFINE_TYPE_INTRUSIVE(SquareRequest, side)
};

struct Square {
  static constexpr std::string_view name = "square";
  using Request = SquareRequest;
  using Response = double;
};
