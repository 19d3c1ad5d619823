#include "cli/map_options.hpp"

#include <CLI/Formatter.hpp>
#include <memory>
#include <string_view>
#include <utility>

#include "cli/commands.hpp"
#include "cli/option_values.hpp"

namespace bulkhead::cli {

std::vector<std::string> take_map_command(int& argc, char** argv) {
  int word = 1;
  for (; word < argc && *argv[word] == '-'; ++word) {
    const std::string_view option = argv[word];
    if (option == "--name" || option == "--control") ++word;
  }
  if (word >= argc || std::string_view(argv[word]) != "map") return {};
  for (int i = word + 1; i < argc; ++i) {
    if (std::string_view(argv[i]) != "--") continue;
    std::vector<std::string> command(argv + i + 1, argv + argc);
    argc = i;
    return command;
  }
  return {};
}

void add_map(CLI::App& app, std::function<Outcome()>& action, std::vector<std::string> command) {
  auto options = std::make_shared<MapOptions>();
  options->command = std::move(command);
  auto* map_command = app.add_subcommand("map", "run a command for each line of standard input");
  map_command->footer(
      "Behind the options: -- COMMAND [ARGUMENTS]\n"
      "`{}` in an argument stands for the input, which is the last argument without it.\n"
      "Example: ls *.log | bulkhead map --timeout 1m -- gzip --keep {}");
  map_command
      ->add_option("--workers", options->workers,
                   "how many at a time; as many as there are CPUs without it")
      ->check(CLI::Range(1, 1024));
  map_command->add_option("--timeout", options->timeout,
                          "how long each may take, 30s or 5m; for ever without it");
  map_command->add_option("--grace", options->grace,
                          "from SIGTERM to SIGKILL when that is over; 5s without it");
  map_command
      ->add_option("--retries", options->retries,
                   "how often one that failed is tried again; 0 without it")
      ->check(CLI::Range(0, 1'000'000));
  map_command
      ->add_option("--report", options->report, "write a JSON line for each input to this file")
      ->check(CLI::Validator(not_empty, "FILE"));
  map_command->add_flag("-0,--null", options->null, "inputs end with a NUL, not with a line");
  map_command->add_flag("--json", options->json, "print a summary as JSON at the end");
  map_command->add_flag("--no-progress", options->no_progress, "no progress on a terminal");
  auto misplaced = std::make_shared<std::vector<std::string>>();
  map_command->add_option("COMMAND", *misplaced)->group("");
  map_command->callback([&action, options, misplaced] {
    action = [options, misplaced] {
      if (misplaced->empty()) return map(*options);
      return complain(Outcome::usage, "\"" + misplaced->front() +
                                          "\" is not expected there (a command stands behind --: "
                                          "bulkhead map -- " +
                                          misplaced->front() + " {})");
    };
  });
}

}  // namespace bulkhead::cli
