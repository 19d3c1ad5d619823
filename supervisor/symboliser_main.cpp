// bulkhead-symboliser: reads {"modules":[{"path","build_id","offsets":[…]}]} from stdin, writes {"modules":[{"error"} or
// {"places":[[{"function","file","line","inlined"}]]}]} to stdout, in the same order. Started by `bulkhead incidents`.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>

#include "supervisor/symboliser.hpp"

namespace {

using namespace bulkhead;
using nlohmann::json;

json places_of(const supervisor::Symboliser& symboliser, std::uint64_t offset) {
  auto places = json::array();
  for (const auto& place : symboliser.places(offset)) {
    places.push_back({{"function", place.function},
                      {"file", place.file},
                      {"line", place.line},
                      {"inlined", place.is_inlined}});
  }
  return places;
}

json look_into(const json& module) {
  const auto symboliser = supervisor::Symboliser::open(
      module.at("path").get<std::string>(), module.at("build_id").get_ref<const std::string&>());
  if (!symboliser) return {{"error", symboliser.error().context}};
  auto places = json::array();
  for (const auto& offset : module.at("offsets")) {
    places.push_back(places_of(*symboliser, offset.get<std::uint64_t>()));
  }
  return {{"places", std::move(places)}};
}

}  // namespace

int main() try {
  ::unsetenv("DEBUGINFOD_URLS");  // libdw would ask the network for what it does not find here
  const auto wanted = json::parse(std::cin);
  auto modules = json::array();
  for (const auto& module : wanted.at("modules")) modules.push_back(look_into(module));
  const auto text =
      json{{"modules", std::move(modules)}}.dump(-1, ' ', false, json::error_handler_t::replace);
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
} catch (const std::exception& problem) {
  std::fprintf(stderr, "bulkhead-symboliser: %s\n", problem.what());
  return 1;
}
