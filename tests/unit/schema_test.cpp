// configs/schema.json and the parser, held against each other: the same keys, the same words, and nothing
// that the schema refuses is accepted by the parser.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "supervisor/config_keys.hpp"
#include "tests/support/config_text.hpp"
#include "tests/support/json_schema.hpp"

namespace bulkhead::supervisor {
namespace {

using Json = nlohmann::json;
using Pointer = Json::json_pointer;

const test::JsonSchema& schema() {
  static const test::JsonSchema schema(Json::parse(config_schema()));
  return schema;
}

const Json& section_schema(const std::string& name) {
  return name == "system" ? schema().root() : schema().root().at("$defs").at(name);
}

// A good config, and where in it each section stands.
const std::map<std::string, std::string> places{{"system", ""},
                                                {"defaults", "/defaults"},
                                                {"restart", "/workers/a/restart"},
                                                {"backoff", "/workers/a/restart/backoff"},
                                                {"limit", "/workers/a/restart/limit"},
                                                {"stop", "/workers/a/stop"},
                                                {"logs", "/workers/a/logs"},
                                                {"worker", "/workers/a"},
                                                {"ready", "/workers/a/ready"},
                                                {"watchdog", "/workers/a/watchdog"},
                                                {"limits", "/workers/a/limits"},
                                                {"cpu", "/workers/a/cpu"},
                                                {"provided", "/workers/a/provides/0"},
                                                {"group", "/groups/g"},
                                                {"link", "/links/l"},
                                                {"subscriber", "/links/t/to/0"},
                                                {"socket", "/sockets/s"},
                                                {"supervisor", "/supervisor"}};

Json base_config() {
  return Json::parse(R"({"version": 1, "name": "t", "defaults": {}, "supervisor": {},
    "sockets": {"s": {"listen": "tcp:127.0.0.1:0"}},
    "workers": {"a": {"command": ["a"], "restart": {"backoff": {}, "limit": {}}, "stop": {}, "logs": {},
                      "ready": {}, "watchdog": {"timeout": "1s"}, "limits": {}, "cpu": {},
                      "provides": [{"name": "s"}]},
                "b": {"command": ["b"]}},
    "groups": {"g": {"members": ["a", "b"]}},
    "links": {"l": {"from": "a", "to": "b"},
              "t": {"type": "topic", "from": "b", "to": [{"worker": "a"}]}}})");
}

// The base config with one key set, and with what that value cannot do without.
Json with(const std::string& section, const std::string& key, const Json& value) {
  Json config = base_config();
  Json& place = config.at(Pointer(places.at(section)));
  place[key] = value;
  if (section == "ready" && key == "port") place["type"] = "port";
  if (section == "ready" && key == "type" && value == "port") place["port"] = 80;
  if (section == "ready" && (key == "fd" || (key == "type" && value == "fd"))) {
    place["type"] = "fd";
    if (key == "type") place["fd"] = 3;
    Json& worker = config["workers"]["a"];
    worker["runtime"] = false;
    worker.erase("provides");
    config.erase("links");
  }
  if (section == "link" && (key == "overflow" || key == "history")) place["type"] = "topic";
  if (section == "link" && (key == "max_attempts" || key == "lease_timeout")) {
    place["type"] = "queue";
  }
  if (section == "restart" && value == "never") place.erase("limit");  // it could never trip
  if (section == "worker" && key == "kind" && value == "scheduled") place["every"] = "1h";
  if (section == "worker" && key == "every") place["kind"] = "scheduled";
  if (section == "supervisor" && key == "http_hosts") place["http"] = "127.0.0.1:0";
  if (section == "worker" && value == "any_exit") place["kind"] = "oneshot";
  if (section == "worker" && (key == "runtime" && value == false)) {
    place.erase("provides");
    config.erase("links");
  }
  return config;
}

std::string refusal(const Json& config) {
  return test::issues_in(parse_config(config.dump(), "/etc/t/config.json", {"", false}));
}

TEST(Schema, is_the_file_that_was_built_in) {
  std::ifstream file(BULKHEAD_SOURCE_DIR "/configs/schema.json");
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), config_schema());
}

TEST(Schema, and_parser_accept_the_base_of_these_tests) {
  EXPECT_EQ(refusal(base_config()), "");
  EXPECT_TRUE(schema().accepts(base_config()));
}

TEST(Schema, has_exactly_the_keys_that_the_parser_knows) {
  for (const auto& section : config_keys::sections) {
    std::set<std::string> known, described;
    for (const Key& key : section.keys) known.emplace(key.name);
    for (const auto& [name, property] :
         section_schema(std::string(section.name)).at("properties").items()) {
      described.insert(name);
    }
    EXPECT_EQ(known, described) << section.name;
    EXPECT_TRUE(places.contains(std::string(section.name)))
        << section.name << " has no place in these tests";
  }
}

TEST(Schema, describes_every_key_and_gives_examples_that_both_accept) {
  for (const auto& [section, place] : places) {
    for (const auto& [key, property] : section_schema(section).at("properties").items()) {
      SCOPED_TRACE(section + "." + key);
      EXPECT_FALSE(property.value("description", "").empty());
      ASSERT_FALSE(property.value("examples", Json::array()).empty());
      for (const Json& example : property["examples"]) {
        const Json config = with(section, key, example);
        EXPECT_EQ(refusal(config), "") << example;
        EXPECT_TRUE(schema().accepts(config)) << example;
      }
    }
  }
}

// The words of an enum, wherever in the property it stands.
void collect_words(const Json& property, std::vector<Json>& words) {
  if (property.contains("enum"))
    words.insert(words.end(), property["enum"].begin(), property["enum"].end());
  for (const Json& one : property.value("anyOf", Json::array())) collect_words(one, words);
}

TEST(Schema, has_only_words_that_the_parser_reads) {
  std::size_t tried = 0;
  for (const auto& [section, place] : places) {
    for (const auto& [key, property] : section_schema(section).at("properties").items()) {
      std::vector<Json> words;
      collect_words(property, words);
      for (const Json& word : words) {
        ++tried;
        EXPECT_EQ(refusal(with(section, key, word)), "") << section << "." << key << " = " << word;
      }
    }
  }
  EXPECT_GT(tried, 30U);
}

template <class E, std::size_t N>
void expect_words(const char* section, const char* key, const Named<E> (&names)[N]) {
  std::vector<Json> words;
  collect_words(section_schema(section).at("properties").at(key), words);
  std::vector<Json> known;
  for (const auto& named : names) known.emplace_back(named.name);
  EXPECT_EQ(words, known) << section << "." << key;
}

TEST(Schema, has_every_word_that_the_parser_reads) {
  expect_words("restart", "policy", config_keys::restart_policy);
  expect_words("limit", "then", config_keys::limit_then);
  expect_words("stop", "signal", config_keys::stop_signal);
  expect_words("logs", "overflow", config_keys::log_overflow);
  expect_words("worker", "kind", config_keys::worker_kind);
  expect_words("worker", "significant", config_keys::significant);
  expect_words("ready", "type", config_keys::ready_type);
  expect_words("group", "strategy", config_keys::group_strategy);
  expect_words("provided", "transport", config_keys::transport);
  expect_words("link", "type", config_keys::link_type);
  expect_words("link", "transport", config_keys::transport);
  expect_words("link", "wait", config_keys::wait_mode);
  expect_words("link", "overflow", config_keys::overflow);
  expect_words("subscriber", "overflow", config_keys::overflow);
}

// A value in each place that the schema refuses there must not pass the parser either.
TEST(Schema, refuses_nothing_that_the_parser_accepts) {
  const Json values =
      Json::parse(R"([null, true, false, 0, -1, 1, 17, 1.5, 1e9, 99999, "", "x", "none", "port",
    "no such word", "5", "5s", "5 s", "5KB", "64KiB", "cpus", [], ["x"], ["x", "x"], [1], [1, 1], [-1], [null],
    {}, {"x": 1}, {"x-y": 1}, {"a": "ready"}, {"b": "ready"}, {"name": "s"}, {"timeout": "1s"}, {"type": "port"}])");
  std::size_t refused = 0;
  for (const auto& [section, place] : places) {
    for (const auto& [key, property] : section_schema(section).at("properties").items()) {
      for (const Json& value : values) {
        if (schema().accepts(property, value)) continue;
        ++refused;
        EXPECT_NE(refusal(with(section, key, value)), "")
            << section << "." << key << " = " << value;
      }
    }
  }
  EXPECT_GT(refused, 1000U);
}

TEST(Schema, and_parser_both_refuse_an_unknown_key_everywhere_and_accept_x) {
  for (const auto& [section, place] : places) {
    for (const char* key : {"unknown", "Name", "x_y"}) {
      EXPECT_FALSE(schema().accepts(with(section, key, 1))) << section;
      EXPECT_NE(refusal(with(section, key, 1)), "") << section;
    }
    EXPECT_TRUE(schema().accepts(with(section, "x-y", 1))) << section;
    EXPECT_EQ(refusal(with(section, "x-y", 1)), "") << section;
  }
}

TEST(Schema, has_the_defaults_that_the_parser_fills_in) {
  const Json effective =
      Json::parse(effective_json(test::parsed(R"({"version": 1, "name": "t", "workers": {
    "a": {"command": ["x"]}, "b": {"command": ["x"]}}, "links": {"l": {"from": "a", "to": "b"}}})"))
                      .dump());
  for (const auto& [section, place] : places) {
    if (section == "defaults" || section == "provided" || !effective.contains(Pointer(place)))
      continue;
    if (!effective.at(Pointer(place)).is_object()) continue;  // switched off: "none"
    for (const auto& [key, property] : section_schema(section).at("properties").items()) {
      if (!property.contains("default")) continue;
      const Json& value = property["default"];
      if (value.is_object() || key == "working_dir" || key == "$schema") continue;
      Json filled_in = effective.at(Pointer(place)).value(key, Json());
      if (key == "within") filled_in = filled_in == "1m" ? Json("60s") : filled_in;
      EXPECT_EQ(filled_in, value) << section << "." << key;
    }
  }
}

// The configs that we ship, for editors and for users alike.
class ShippedConfig : public testing::TestWithParam<const char*> {};

TEST_P(ShippedConfig, is_accepted_by_parser_and_schema) {
  const std::string path = std::string(BULKHEAD_SOURCE_DIR "/configs/") + GetParam();
  const LoadedConfig loaded = load_config(path, {"", false});
  ASSERT_TRUE(std::holds_alternative<SystemConfig>(loaded.parsed))
      << test::issues_in(loaded.parsed);
  EXPECT_TRUE(schema().accepts(Json::parse(loaded.text, nullptr, true, /*ignore_comments=*/true)));

  const auto effective = effective_json(std::get<SystemConfig>(loaded.parsed));
  EXPECT_TRUE(schema().accepts(Json::parse(effective.dump())));
  EXPECT_EQ(effective_json(test::parsed(effective.dump(), path)).dump(), effective.dump());
}

INSTANTIATE_TEST_SUITE_P(Files, ShippedConfig,
                         testing::Values("demo.json", "minimal.json", "plain-programs.json",
                                         "recovery.json", "redis.json"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) {
                             if (c == '.' || c == '-') c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace bulkhead::supervisor
