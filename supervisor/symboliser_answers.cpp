#include "supervisor/symboliser_answers.hpp"

#include <cstdint>
#include <istream>
#include <nlohmann/json.hpp>
#include <utility>

#include "supervisor/symboliser.hpp"
#include "supervisor/thread_stacks.hpp"

namespace bulkhead::supervisor {
namespace {

using nlohmann::json;

std::string dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json places_of(const Symboliser& symboliser, std::uint64_t offset) {
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
  const auto symboliser = Symboliser::open(module.at("path").get<std::string>(),
                                           module.at("build_id").get_ref<const std::string&>());
  if (!symboliser) return {{"error", symboliser.error().context}};
  auto places = json::array();
  for (const auto& offset : module.at("offsets")) {
    places.push_back(places_of(*symboliser, offset.get<std::uint64_t>()));
  }
  return {{"places", std::move(places)}};
}

}  // namespace

std::string answer_with_places(std::istream& question) {
  const auto wanted = json::parse(question);
  auto modules = json::array();
  for (const auto& module : wanted.at("modules")) modules.push_back(look_into(module));
  return dumped({{"modules", std::move(modules)}});
}

std::string answer_with_threads(pid_t process, std::size_t bytes_max) {
  const auto stacks = stacks_of(process, bytes_max);
  return stacks ? *stacks : dumped({{"error", stacks.error().to_string()}});
}

}  // namespace bulkhead::supervisor
