#include "supervisor/brain_arguments.hpp"

#include <charconv>
#include <cstring>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace bulkhead::supervisor {
namespace {

// One option with the place it goes to. Writing and reading share the lists below, so that they cannot
// come apart.
struct Option {
  std::string_view name;
  int* number = nullptr;
  std::string* text = nullptr;
};

std::vector<Option> system_options(SystemArguments& system) {
  return {{"--name", nullptr, &system.name},
          {"--runtime-dir", nullptr, &system.runtime_dir},
          {"--control", nullptr, &system.control_path},
          {"--bin-dir", nullptr, &system.program_directory}};
}

std::vector<Option> options_of(KeeperArguments& arguments) {
  auto options = system_options(arguments.system);
  options.insert(options.end(), {{"--keeper-page", &arguments.keeper_page},
                                 {"--state", &arguments.state},
                                 {"--lock", &arguments.lock},
                                 {"--listener", &arguments.listener},
                                 {"--config", &arguments.config},
                                 {"--brain-program", nullptr, &arguments.brain_program}});
  return options;
}

std::vector<Option> options_of(BrainArguments& arguments) {
  auto options = system_options(arguments.system);
  options.insert(options.end(), {{"--keeper-page", &arguments.keeper_page},
                                 {"--state", &arguments.state},
                                 {"--keeper-socket", &arguments.keeper_socket},
                                 {"--listener", &arguments.listener},
                                 {"--config", &arguments.config}});
  return options;
}

Error wrong(std::string_view option, std::string_view what) {
  return make_error(Errc::invalid_argument, std::string(option) + " " + std::string(what));
}

Result<void> assign(const Option& option, std::string_view value) {
  if (option.text != nullptr) {
    *option.text = value;
    return {};
  }
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), *option.number);
  if (parsed.ec == std::errc{} && parsed.ptr == value.data() + value.size() &&
      *option.number >= 0) {
    return {};
  }
  return wrong(option.name, "needs the number of a descriptor, not \"" + std::string(value) + "\"");
}

Result<void> assign_format(SystemArguments& system, std::string_view value) {
  if (value != "text" && value != "json") return wrong("--log-format", "is text or json");
  system.log_format = value == "json" ? LogFormat::json : LogFormat::text;
  return {};
}

Result<void> parse_one(const std::vector<Option>& options, SystemArguments& system,
                       std::string_view name, std::string_view value) {
  if (name == "--log-format") return assign_format(system, value);
  for (const auto& option : options) {
    if (option.name == name) return assign(option, value);
  }
  return wrong(name, "is not known here");
}

template <class Arguments>
Result<Arguments> parse(int argc, const char* const* argv) {
  Arguments arguments;
  const auto options = options_of(arguments);
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--detached") {
      arguments.system.detached = true;
      continue;
    }
    if (i + 1 == argc) return wrong(name, "needs a value");
    if (auto done = parse_one(options, arguments.system, name, argv[++i]); !done)
      return done.error();
  }
  for (const auto& option : options) {
    if (option.number != nullptr ? *option.number < 0 : option.text->empty()) {
      return wrong(option.name, "is missing");
    }
  }
  return arguments;
}

template <class Arguments>
std::vector<std::string> print(const std::string& program, Arguments arguments) {
  std::vector<std::string> words{program};
  for (const auto& option : options_of(arguments)) {
    words.emplace_back(option.name);
    words.push_back(option.number != nullptr ? std::to_string(*option.number) : *option.text);
  }
  words.emplace_back("--log-format");
  words.emplace_back(arguments.system.log_format == LogFormat::json ? "json" : "text");
  if (arguments.system.detached) words.emplace_back("--detached");
  return words;
}

}  // namespace

Result<KeeperArguments> parse_keeper_arguments(int argc, const char* const* argv) {
  return parse<KeeperArguments>(argc, argv);
}

Result<BrainArguments> parse_brain_arguments(int argc, const char* const* argv) {
  return parse<BrainArguments>(argc, argv);
}

std::vector<std::string> command_line(const std::string& program,
                                      const KeeperArguments& arguments) {
  return print(program, arguments);
}

std::vector<std::string> command_line(const std::string& program, const BrainArguments& arguments) {
  return print(program, arguments);
}

}  // namespace bulkhead::supervisor
