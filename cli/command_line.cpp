#include "cli/command_line.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <csignal>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/nearest.hpp"
#include "cli/commands.hpp"
#include "cli/lab.hpp"
#include "cli/map_options.hpp"
#include "cli/option_values.hpp"

namespace bulkhead::cli {
namespace {

// What was asked for: filled while argv is read, carried out afterwards, so that a wrong argument at
// the end of the line stops everything before it.
struct Asked {
  SystemChoice system;
  std::function<Outcome()> action;
};

void add_run(CLI::App& app, Asked& asked) {
  auto options = std::make_shared<RunOptions>();
  auto* command = app.add_subcommand("run", "start the system of a config, until Ctrl-C");
  command->add_option("CONFIG", options->config, "JSON file")->required();
  command->add_flag("--detach", options->detach, "return once every worker is ready or has failed");
  auto format = std::make_shared<std::string>("text");
  command->add_option("--log-format", *format, "what is printed for events: text or json")
      ->check(CLI::IsMember({"text", "json"}));
  command->callback([&asked, options, format] {
    options->json_log = *format == "json";
    asked.action = [&asked, options] { return run(asked.system, *options); };
  });
}

void add_config_commands(CLI::App& app, Asked& asked) {
  auto config = std::make_shared<std::string>();
  auto* checking = app.add_subcommand("check", "validate a config and print every error");
  checking->add_option("CONFIG", *config, "JSON file")->required();
  checking->callback([&asked, config] { asked.action = [config] { return check(*config); }; });

  auto* defaults = app.add_subcommand("defaults", "show a config with every default filled in");
  defaults->add_option("--effective", *config, "JSON file")->required();
  defaults->callback(
      [&asked, config] { asked.action = [config] { return effective_defaults(*config); }; });

  app.add_subcommand("schema", "print the JSON Schema of configs")->callback([&asked] {
    asked.action = schema;
  });
}

void add_simulate(CLI::App& app, Asked& asked) {
  auto options = std::make_shared<SimulateOptions>();
  auto* command =
      app.add_subcommand("simulate", "show in virtual time what the supervisor would decide");
  command->add_option("CONFIG", options->config, "JSON file")->required();
  command
      ->add_option(
          "SCRIPT", options->script,
          "what happens: \"echo.1 crashes every 2s for 1m; stop\"; docs/commands.md has all")
      ->required();
  command->add_option("--for", options->length,
                      "how long to look on; a minute after the script's last word without it");
  command->add_option("--seed", options->seed, "of the jitter of delays; 1 without it")
      ->check(CLI::Validator(whole_number, "NUMBER"));
  command->add_flag("--json", options->json, "one event a line, as events --json");
  command->callback([&asked, options] { asked.action = [options] { return simulate(*options); }; });
}

void add_status(CLI::App& app, Asked& asked) {
  auto options = std::make_shared<StatusOptions>();
  auto* command = app.add_subcommand("status", "show workers and links");
  command->add_option("NAME", options->name, "worker or instance; all without it");
  command->add_flag("--json", options->json, "as JSON");
  command->add_flag("--watch", options->watch, "again every second, until Ctrl-C");
  command->add_flag("--all", options->all, "also the supervisor's own workers");
  command->callback([&asked, options] {
    asked.action = [&asked, options] { return status(asked.system, *options); };
  });
}

void add_queue(CLI::App& app, Asked& asked) {
  auto options = std::make_shared<QueueOptions>();
  auto* command = app.add_subcommand("queue", "show queues and the tasks that they gave up");
  command->add_option("NAME", options->name, "a queue's link; all without it");
  command->add_flag("--json", options->json, "as JSON");
  command
      ->add_option("--requeue", options->requeue,
                   "put a task that was given up back into play, by its number; or all")
      ->check(CLI::Validator(not_empty, "ID"));
  command->callback([&asked, options] {
    asked.action = [&asked, options] { return queue(asked.system, *options); };
  });
}

void add_control(CLI::App& app, Asked& asked) {
  auto options = std::make_shared<KillOptions>();
  auto* killing = app.add_subcommand("kill", "send a signal to a worker; counts as a crash");
  killing->add_option("NAME", options->name, "worker or instance")->required();
  killing->add_option("--signal", options->signal, "SIGKILL, KILL or 9; SIGKILL without it");
  killing->callback([&asked, options] {
    asked.action = [&asked, options] { return kill(asked.system, *options); };
  });

  const auto add = [&](const char* name, const char* what,
                       Outcome (*carry_out)(const SystemChoice&, const std::string&)) {
    auto worker = std::make_shared<std::string>();
    auto* command = app.add_subcommand(name, what);
    command->add_option("NAME", *worker, "worker or instance")->required();
    command->callback([&asked, worker, carry_out] {
      asked.action = [&asked, worker, carry_out] { return carry_out(asked.system, *worker); };
    });
  };
  add("stop", "stop a worker and keep it stopped", stop);
  add("start", "start a worker that was stopped or has failed", start);
  add("restart", "stop a worker and start it again", restart);

  app.add_subcommand("shutdown", "stop the whole system")->callback([&asked] {
    asked.action = [&asked] { return shutdown(asked.system); };
  });
}

void add_reload(CLI::App& app, Asked& asked) {
  auto options = std::make_shared<PlanOptions>();
  auto* planning = app.add_subcommand("plan", "show what a reload of a config would do, and why");
  planning->add_option("CONFIG", options->config, "JSON file")->required();
  planning->add_flag("--json", options->json, "as JSON");
  planning->callback([&asked, options] {
    asked.action = [&asked, options] { return plan(asked.system, *options); };
  });

  auto config = std::make_shared<std::string>();
  auto* reloading =
      app.add_subcommand("reload", "put a config in force; only what changed restarts");
  reloading->add_option("CONFIG", *config, "JSON file; the one in force without it");
  reloading->callback([&asked, config] {
    asked.action = [&asked, config] { return reload(asked.system, *config); };
  });

  auto wanted = std::make_shared<ScaleOptions>();
  auto* scaling = app.add_subcommand("scale", "change the number of a worker's instances");
  scaling->add_option("NAME", wanted->name, "worker")->required();
  scaling->add_option("N", wanted->instances, "how many, until the next reload")
      ->required()
      ->check(CLI::Range(1, 8192));
  scaling->callback([&asked, wanted] {
    asked.action = [&asked, wanted] { return scale(asked.system, *wanted); };
  });
}

void add_events(CLI::App& app, Asked& asked) {
  using Format = EventsOptions::Format;
  auto options = std::make_shared<EventsOptions>();
  auto* command = app.add_subcommand("events", "show what happened");
  command->add_flag("-f,--follow", options->follow, "and go on showing what happens");
  command->add_option("--since", options->since, "from this sequence number on")
      ->check(CLI::Validator(whole_number, "NUMBER"));
  auto as_json = std::make_shared<bool>(false);
  command->add_flag("--json", *as_json, "one JSON object a line");
  auto format = std::make_shared<std::string>();
  command->add_option("--format", *format)
      ->check(CLI::IsMember({"lines", "json", "terminal"}))
      ->group("");  // the supervisor's own way to show events under `run`
  command->callback([&asked, options, as_json, format] {
    if (*format == "terminal") options->format = Format::terminal;
    if (*format == "json" || *as_json) options->format = Format::json;
    asked.action = [&asked, options] { return events(asked.system, *options); };
  });
}

void add_logs(CLI::App& app, Asked& asked) {
  auto options = std::make_shared<LogsOptions>();
  auto* command = app.add_subcommand("logs", "show what a worker wrote to stdout and stderr");
  command->add_option("NAME", options->name, "worker or instance")->required();
  command->add_flag("-f,--follow", options->follow, "and go on showing it");
  command->add_option("-n,--lines", options->lines, "how many lines back; 20 without it");
  command->callback([&asked, options] {
    asked.action = [&asked, options] { return logs(asked.system, *options); };
  });
}

void add_incidents(CLI::App& app, Asked& asked) {
  auto options = std::make_shared<IncidentsOptions>();
  auto* command = app.add_subcommand("incidents", "show deaths, their reports and recoveries");
  command->add_flag("--json", options->json, "as JSON");
  command->callback([&asked, options] {
    asked.action = [&asked, options] { return incidents(asked.system, *options); };
  });
  auto worker = std::make_shared<std::string>();
  auto* asking = app.add_subcommand("why", "why a worker is in its state, and what happens next");
  asking->add_option("NAME", *worker, "worker or instance")->required();
  asking->callback(
      [&asked, worker] { asked.action = [&asked, worker] { return why(asked.system, *worker); }; });
}

void add_chaos(CLI::App& app, Asked& asked) {
  auto options = std::make_shared<ChaosOptions>();
  auto* command = app.add_subcommand("chaos", "break things at random, and look what else breaks");
  command->add_option("--duration", options->duration, "how long; 30s without it");
  command->add_option("--seed", options->seed, "which schedule; another one without it")
      ->check(CLI::Validator(whole_number, "NUMBER"));
  command->add_option("--rate", options->rate, "faults a second; 2 without it")
      ->check(CLI::Range(0.01, 1000.0));
  auto include = std::make_shared<std::string>();
  command->add_option("--include", *include, "supervisor: the brain and the logger, too")
      ->check(CLI::IsMember({"supervisor"}));
  command->add_option("--only", options->only, "one kind alone; without it all")
      ->check(CLI::IsMember({"kill", "stop", "slow", "hang", "leak", "drop", "oom"}));
  command->add_flag("--json", options->json, "the findings as JSON");
  command->callback([&asked, options, include] {
    options->with_supervisor = !include->empty();
    asked.action = [&asked, options] { return chaos(asked.system, *options); };
  });
}

void add_call(CLI::App& app, Asked& asked) {
  auto options = std::make_shared<CallOptions>();
  auto* command = app.add_subcommand("call", "call a method of a service and print its answer");
  command->add_option("SERVICE", options->service, "as in \"provides\"")->required();
  command->add_option("METHOD", options->method, "one of the service's methods")->required();
  command->add_option("JSON", options->request, "the request; null without it");
  command->add_option("--timeout", options->timeout, "how long to wait, 10s without it");
  command->callback([&asked, options] {
    asked.action = [&asked, options] { return call(asked.system, *options); };
  });
}

void add_bench(CLI::App& app, Asked& asked) {
  auto* command = app.add_subcommand("bench", "measure");
  command->require_subcommand(1);
  auto options = std::make_shared<BenchOptions>();
  const auto add = [&](const char* name, const char* what,
                       Outcome (*carry_out)(const BenchOptions&)) {
    auto* kind = command->add_subcommand(name, what);
    kind->add_option("--json", options->json_path, "write the figures to this file, too");
    kind->add_flag("--quick", options->quick, "fewer samples");
    kind->callback([&asked, options, carry_out] {
      asked.action = [options, carry_out] { return carry_out(*options); };
    });
    return kind;
  };
  auto* latency = add("latency", "how long a message takes there and back", bench_latency);
  latency->add_option("--transport", options->transports, "shm, unix, tcp, pipe; all without it");
  latency->add_option("--mode", options->modes, "spin, adaptive, block; all without it");
  latency->add_option("--size", options->sizes, "bytes of a message; 8 to 1048576 without it")
      ->check(CLI::Range(1, 1 << 20));
  add("throughput", "how many messages a second a lane carries", bench_throughput);
  add("pool", "what a task costs in other processes, and what they gain", bench_pool);
  add("recovery", "how long a killed worker is away", bench_recovery)
      ->add_option("--kills", options->kills, "how often; 200 without it")
      ->check(CLI::Range(1, 100000));
}

void add_about(CLI::App& app, Asked& asked) {
  app.add_subcommand("doctor", "what this kernel and these limits offer")->callback([&asked] {
    asked.action = doctor;
  });
  app.add_subcommand("version", "version, build-id, compiler, commit")->callback([&asked] {
    asked.action = version;
  });
}

// The index of the first word from `from` on that is no option and no option's value: the command, if it
// is one. argc when there is none.
int command_word(int argc, char** argv, int from) {
  for (int i = from; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--name" || word == "--control") {
      ++i;
    } else if (!word.starts_with('-')) {
      return i;
    }
  }
  return argc;
}

// CLI11 would only say that a command is missing.
std::optional<Outcome> refuse_unknown_option(int argc, char** argv, int command) {
  static const std::vector<std::string_view> known{"--name", "--control", "--help"};
  for (int i = 1; i < command && i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto option = word.substr(0, word.find('='));
    if (word == "-h" || std::find(known.begin(), known.end(), option) != known.end()) {
      if (word == "--name" || word == "--control") ++i;
      continue;
    }
    const auto near = base::nearest(option, known);
    return complain(
        Outcome::usage,
        "there is no option \"" + std::string(word) + "\" (" +
            (near ? "did you mean " + *near + "?" : "bulkhead --help shows those there are") + ")");
  }
  return std::nullopt;
}

// CLI11 would call an unknown command a surplus argument.
std::optional<Outcome> refuse_unknown_command(const CLI::App& app,
                                              std::optional<std::string_view> word) {
  if (!word) return std::nullopt;
  std::vector<std::string_view> names;
  std::string list;
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
    if (names.back() == *word) return std::nullopt;
    list += (list.empty() ? "" : ", ") + command->get_name();
  }
  const auto near = base::nearest(*word, names);
  const std::string remedy = near ? "did you mean " + *near + "?" : "there are " + list;
  return complain(Outcome::usage,
                  "there is no command \"" + std::string(*word) + "\" (" + remedy + ")");
}

// Words that CLI11 would explain badly.
std::optional<Outcome> refuse_unknown_words(const CLI::App& app, int argc, char** argv) {
  const int command = command_word(argc, argv, 1);
  if (auto refused = refuse_unknown_option(argc, argv, command)) return refused;
  if (command == argc) return std::nullopt;
  if (auto refused = refuse_unknown_command(app, argv[command])) return refused;
  const int kind = command_word(argc, argv, command + 1);
  if (kind == argc) return std::nullopt;
  const auto all = [](const CLI::App*) { return true; };
  for (const auto* chosen : app.get_subcommands(all)) {
    if (chosen->get_name() != argv[command] || chosen->get_subcommands(all).empty()) continue;
    return refuse_unknown_command(*chosen, argv[kind]);
  }
  return std::nullopt;
}

Outcome refuse(const CLI::App& app, const CLI::ParseError& error) {
  std::string command = "bulkhead";
  for (const auto* chosen : app.get_subcommands()) command += " " + chosen->get_name();
  return complain(Outcome::usage,
                  std::string(error.what()) + " (" + command + " --help shows how it is used)");
}

}  // namespace

int run_command_line(int argc, char** argv) {
  // A reader that goes away ends us through write errors, which we can tell apart.
  std::signal(SIGPIPE, SIG_IGN);
  reserve_standard_streams();

  CLI::App app{"Supervised processes that talk at memory speed", "bulkhead"};
  Asked asked;
  auto* name = app.add_option("--name", asked.system.name, "the system to talk to, by its name");
  name->check(CLI::Validator(not_empty, "NAME"));
  app.add_option("--control", asked.system.control, "the system to talk to, by its control socket")
      ->check(CLI::Validator(not_empty, "PATH"))
      ->excludes(name);
  app.require_subcommand(1);
  app.get_formatter()->column_width(32);
  add_run(app, asked);
  add_config_commands(app, asked);
  add_simulate(app, asked);
  add_status(app, asked);
  add_queue(app, asked);
  add_control(app, asked);
  add_reload(app, asked);
  add_logs(app, asked);
  add_events(app, asked);
  add_incidents(app, asked);
  add_chaos(app, asked);
  add_call(app, asked);
  add_bench(app, asked);
  add_map(app, asked.action, take_map_command(argc, argv));
  add_lab(app, asked.action);
  add_about(app, asked);

  if (const auto refused = refuse_unknown_words(app, argc, argv)) {
    return static_cast<int>(*refused);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    (void)app.exit(help, std::cout, std::cerr);
    return static_cast<int>(finish_output(Outcome::done));
  } catch (const CLI::ParseError& error) {
    return static_cast<int>(refuse(app, error));
  }
  return static_cast<int>(finish_output(asked.action()));
}

}  // namespace bulkhead::cli
