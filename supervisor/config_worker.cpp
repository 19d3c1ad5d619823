// One worker: its command, its environment, and everything that is said about how it is run.
#include <sched.h>
#include <nlohmann/json.hpp>

#include "supervisor/config_draft.hpp"
#include "supervisor/config_keys.hpp"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
using json_source::in_quotes;
using Type = json_source::Value::Type;

constexpr std::uint64_t memory_min = std::uint64_t{1} << 20, size_max = std::uint64_t{1} << 50;

bool is_variable_name(std::string_view text) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !text.empty() && !(text[0] >= '0' && text[0] <= '9') &&
         std::all_of(text.begin(), text.end(), is_word);
}

// ${index} and ${env:NAME} are expanded when an instance starts; what could not be is told now.
void check_variables(const Draft& draft, const At& at, const std::string& text) {
  for (std::size_t from = text.find("${"); from != std::string::npos;
       from = text.find("${", from + 2)) {
    const std::size_t end = text.find('}', from);
    if (end == std::string::npos)
      return at.wrong("\"${\" is not closed (expected ${index} or ${env:NAME})");
    const std::string form = text.substr(from + 2, end - from - 2);
    if (form == "index") continue;
    const bool is_env =
        form.starts_with("env:") && is_variable_name(std::string_view(form).substr(4));
    if (!is_env) {
      at.wrong("unknown variable " + in_quotes("${" + form + "}") +
               " (expected ${index} or ${env:NAME})");
    } else if (draft.context.check_machine && std::getenv(form.c_str() + 4) == nullptr) {
      at.wrong("environment variable " + form.substr(4) + " is not set (set it before the start)");
    }
  }
}

void read_command(const Draft& draft, const At& at, WorkerConfig& worker) {
  if (at.value->type == Type::string) {
    std::string fix = "[";
    std::string word;
    for (const char c : at.value->text + " ") {
      if (c != ' ') {
        word += c;
      } else if (!word.empty()) {
        fix += (fix == "[" ? "" : ", ") + in_quotes(word);
        word.clear();
      }
    }
    return at.wrong_type("array",
                         fix == "[" ? R"(expected ["program", "argument"])" : "write " + fix + "]");
  }
  const auto words = elements(at, R"(expected ["program", "argument"])");
  if (at.value->type == Type::array && words.empty()) {
    at.wrong(R"(an empty command (expected ["program", "argument"]))");
  }
  for (const At& word : words) {
    const auto text = read_text(word);
    check_variables(draft, word, text.value_or(""));
    worker.command.push_back(text.value_or(""));
  }
  if (worker.command.empty()) return;
  const std::string& program = worker.command[0];
  if (words[0].value->type == Type::string && words[0].value->text.empty()) {
    words[0].wrong("\"\" is no program (expected a name or a path)");
  } else if (program.find("${index}") != std::string::npos) {
    words[0].wrong(
        "${index} in the program's name (all instances run the same program: use it in arguments)");
  }
}

void read_instances(const At& at, WorkerConfig& worker) {
  if (at.value->type != Type::string) {
    if (at.value->type != Type::number) {
      return at.wrong_type("number", R"(expected a whole number from 1 to 8192 or "cpus")");
    }
    if (const auto count = read_integer(at, 1, instances_max)) {
      worker.instances = static_cast<std::uint32_t>(*count);
    }
    return;
  }
  const std::string& text = at.value->text;
  if (text == "cpus") {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    const bool known = ::sched_getaffinity(0, sizeof cpus, &cpus) == 0;
    worker.instances = known ? static_cast<std::uint32_t>(CPU_COUNT(&cpus)) : 1;
  } else if (!text.empty() && text.find_first_not_of("0123456789") == std::string::npos) {
    at.wrong(in_quotes(text) + " is no number (write " + text + ")");
  } else {
    at.wrong("unknown value " + in_quotes(text) +
             R"( (expected a whole number from 1 to 8192 or "cpus"))");
  }
}

void read_watchdog(const At& at, std::optional<Duration>& into) {
  if (read_none(at, R"(expected {"timeout": "2s"} or "none")")) return into.reset();
  if (at.value->type != Type::object) return;
  const ObjectAt section(at, config_keys::watchdog);
  if (const auto found = section.find("timeout")) {
    into = read_duration(*found, 10ms, 24h);
  } else {
    section.missing("timeout", R"(expected how long a worker may be silent, such as "2s")");
  }
}

void read_depends_on(const At& at, WorkerConfig& worker) {
  if (at.value->type == Type::array || at.value->type == Type::string) {
    return at.wrong_type("object", R"(write {"worker": "ready"}, or "started" or "completed")");
  }
  for (const auto& [name, name_at, condition] : entries(at)) {
    if (const auto value = read_enum(condition, config_keys::depends_on)) {
      worker.depends_on[name] = *value;
    } else {
      worker.depends_on[name] = DependsOn::started;  // reported; the name is still checked
    }
  }
}

void read_env(const Draft& draft, const At& at, WorkerConfig& worker) {
  static constexpr std::array<std::string_view, 9> ours{
      "BULKHEAD_NAME",       "BULKHEAD_WORKER",     "BULKHEAD_INDEX",
      "BULKHEAD_GENERATION", "BULKHEAD_CONTROL_FD", "BULKHEAD_COOKIE",
      "NOTIFY_SOCKET",       "WATCHDOG_USEC",       "WATCHDOG_PID"};
  for (const auto& [name, name_at, value] : entries(at)) {
    if (name.find('\0') != std::string::npos) {
      value.wrong(in_quotes(name) + " contains a NUL character (expected a name without)");
    } else if (name.empty() || name.find('=') != std::string::npos) {
      value.wrong(in_quotes(name) + " is no name of a variable (expected one without '=')");
    } else if (std::find(ours.begin(), ours.end(), name) != ours.end()) {
      value.wrong(name + " is set for each instance by the supervisor (remove it)");
    }
    const auto text = read_text(value);
    if (text) check_variables(draft, value, *text);
    worker.env[name] = text.value_or("");
  }
}

void read_core_limit(const At& at, std::optional<std::uint64_t>& into) {
  if (at.value->type == Type::number && at.value->text == "0") {
    into = 0;
  } else {
    into = read_size(at, 0, size_max);
  }
}

void read_cpu_limit(const At& at, std::optional<Duration>& into) {
  const auto time = read_duration(at, 1s, 30 * 24h);
  if (!time) return;
  if (*time % 1s != 0s)
    return at.wrong(in_quotes(at.value->text) + " of CPU time (expected whole seconds)");
  into = *time;
}

void read_limits(const At& at, Limits& into) {
  if (read_none(at, R"(expected {"memory": "256MiB"} or "none")")) return;
  if (at.value->type != Type::object) return;
  const ObjectAt section(at, config_keys::limits);
  if (const auto found = section.find("memory"))
    into.memory = read_size(*found, memory_min, size_max);
  if (const auto found = section.find("nofile")) into.nofile = read_integer(*found, 16, 1 << 30);
  if (const auto found = section.find("cpu")) read_cpu_limit(*found, into.cpu);
  if (const auto found = section.find("core")) read_core_limit(*found, into.core);
  if (const auto found = section.find("pids")) into.pids = read_integer(*found, 1, 1 << 22);
}

void read_affinity(const At& at, Affinity& into) {
  static constexpr std::string_view words[] = {"spread", "none"};
  if (at.value->type == Type::string) {
    if (const auto chosen = read_choice(at, words)) {
      into.kind = *chosen == 0 ? Affinity::Kind::spread : Affinity::Kind::none;
    }
    return;
  }
  if (at.value->type == Type::array && at.value->elements.empty()) {
    return at.wrong(R"(no CPU (expected some, such as [0, 1], or "none"))");
  }
  for (const At& element : elements(at, R"(expected "spread", "none" or CPUs such as [0, 1])")) {
    const auto cpu = read_integer(element, 0, CPU_SETSIZE - 1);
    if (!cpu) continue;
    const int number = static_cast<int>(*cpu);
    if (std::find(into.cpus.begin(), into.cpus.end(), number) != into.cpus.end()) {
      element.wrong("CPU " + std::to_string(number) + " twice (expected once)");
    } else {
      into.cpus.push_back(number);
    }
  }
  into.kind = Affinity::Kind::fixed;
}

void read_nice(const At& at, std::optional<int>& into) {
  if (const auto number = read_number(at, -20, 19)) {
    const int nice = static_cast<int>(*number);
    if (static_cast<double>(nice) != *number) {
      return at.wrong(describe(*at.value) + " is no whole number (expected one from -20 to 19)");
    }
    into = nice;
  }
}

void read_provides(const At& at, WorkerConfig& worker) {
  for (const At& element : elements(at, R"(expected ["service"])")) {
    Provided provided;
    At name_at = element;
    if (element.value->type == Type::object) {
      const ObjectAt section(element, config_keys::provided);
      const auto name = section.find("name");
      if (!name) section.missing("name", "expected the service's name");
      if (const auto found = section.find("transport")) {
        keep(provided.transport, read_enum(*found, config_keys::transport));
      }
      if (!name) continue;
      name_at = *name;
    }
    const auto text =
        read_text(name_at, R"("service" or {"name": "service", "transport": "unix"})");
    if (!text) continue;
    check_name(name_at.value->at, name_at, *text, "a service");
    provided.name = *text;
    worker.provides.push_back(provided);
  }
}

void read_how_it_runs(Draft& draft, const ObjectAt& section, WorkerConfig& worker) {
  if (const auto found = section.find("instances")) read_instances(*found, worker);
  read_kind(section, worker);
  if (const auto found = section.find("ready")) read_ready(*found, worker.ready);
  if (const auto found = section.find("watchdog")) read_watchdog(*found, worker.watchdog);
  if (const auto found = section.find("depends_on")) read_depends_on(*found, worker);
  if (const auto found = section.find("restart")) {
    read_restart(*found, worker.restart, draft.defaults_state_limit);
  }
  if (const auto found = section.find("stop")) read_stop(*found, worker.stop);
  if (const auto found = section.find("logs"))
    read_logs(*found, draft.config.directory, worker.logs);
  if (const auto found = section.find("runtime")) keep(worker.runtime, read_boolean(*found));
  if (const auto found = section.find("provides")) read_provides(*found, worker);
  if (const auto found = section.find("sockets")) read_worker_sockets(draft, *found, worker);
}

void read_surroundings(Draft& draft, const ObjectAt& section, WorkerConfig& worker) {
  if (const auto found = section.find("env")) read_env(draft, *found, worker);
  worker.working_dir = draft.config.directory;
  if (const auto found = section.find("working_dir")) {
    const auto text = read_text(*found);
    if (text && text->empty()) found->wrong(R"("" is no directory (write "."))");
    if (text) worker.working_dir = absolute_path(draft.config.directory, *text);
  }
  if (const auto found = section.find("user")) {
    const auto text = read_text(*found);
    if (text && text->empty()) found->wrong(R"("" is no user (expected a name, or leave it out))");
    keep(worker.user, text);
  }
  if (const auto found = section.find("limits")) read_limits(*found, worker.limits);
  if (const auto found = section.find("cpu")) {
    const ObjectAt cpu(*found, config_keys::cpu, R"(expected {"affinity": "spread"})");
    if (const auto affinity = cpu.find("affinity")) read_affinity(*affinity, worker.affinity);
    if (const auto nice = cpu.find("nice")) read_nice(*nice, worker.nice);
  }
  if (const auto found = section.find("sandbox")) {
    keep(worker.sandbox, read_enum(*found, config_keys::sandbox));
  }
  if (const auto found = section.find("contain")) {
    keep(worker.contain, read_enum(*found, config_keys::contain));
  }
  if (const auto found = section.find("warm_spares")) {
    if (const auto spares = read_integer(*found, 0, warm_spares_max)) {
      worker.warm_spares = static_cast<std::uint32_t>(*spares);
    }
  }
  if (const auto found = section.find("config")) {
    worker.config_json = nlohmann::ordered_json::parse(json_source::to_text(*found->value)).dump();
  }
}

// What only the runtime inside a worker can do, asked of a program that does not see its control descriptor.
void check_runtime(const ObjectAt& section, const WorkerConfig& worker) {
  if (worker.ready.type == ReadyType::fd && worker.ready.fd >= 0) check_ready_fd(section, worker);
  if (worker.runtime) return;
  const std::string remedy = " (remove it, or \"runtime\": false)";
  if (!worker.provides.empty()) {
    section.wrong_at_key(
        "provides",
        "services are provided by the runtime, which \"runtime\": false hides" + remedy);
  }
  if (section.has("config")) {
    section.wrong_at_key(
        "config",
        "the config is handed over by the runtime, which \"runtime\": false hides" + remedy);
  }
}

// It is the runtime that puts a strict sandbox in force, on itself.
void check_sandbox(const ObjectAt& section, const WorkerConfig& worker) {
  if (worker.sandbox != Sandbox::strict) return;
  if (!worker.runtime) {
    section.find("sandbox")->wrong(
        "\"strict\" is put in force by the runtime, which \"runtime\": false hides (write "
        "\"basic\", or remove \"runtime\": false)");
  }
  if (worker.limits.core.value_or(0) != 0) {
    const ObjectAt limits(*section.find("limits"), config_keys::limits);
    limits.find("core")->wrong(
        "a core that never comes: a strict sandbox refuses it (write 0, or leave it out)");
  }
}

bool speaks_of_index(const WorkerConfig& worker) {
  const auto has_index = [](const std::string& text) { return text.find("${index}") != text.npos; };
  return std::any_of(worker.command.begin(), worker.command.end(), has_index) ||
         std::any_of(worker.env.begin(), worker.env.end(),
                     [&](const auto& variable) { return has_index(variable.second); });
}

// A spare is told which instance it is when its program has long begun, and by the runtime.
void check_spares(const ObjectAt& section, const WorkerConfig& worker) {
  if (worker.warm_spares == 0) return;
  const auto wrong = [&](const std::string& why) {
    section.find("warm_spares")->wrong("no spare of this worker can step in: " + why);
  };
  if (!worker.runtime) {
    wrong(
        "it is the runtime that waits, which \"runtime\": false hides (write 0, or remove "
        "\"runtime\": false)");
  } else if (worker.kind != WorkerKind::service) {
    wrong("only a service is replaced when it dies (write 0, or \"kind\": \"service\")");
  } else if (worker.restart.policy == RestartPolicy::never) {
    wrong("its restart policy is never (write 0, or another policy)");
  } else if (speaks_of_index(worker)) {
    wrong(
        "${index} in its command or env is not known before (write 0, or have the program ask "
        "the runtime for its index)");
  }
}

void read_worker(Draft& draft, const At& at, WorkerConfig& worker) {
  const ObjectAt section(at, config_keys::worker);
  if (at.value->type != Type::object) return;
  if (const auto found = section.find("command")) {
    read_command(draft, *found, worker);
  } else {
    section.missing("command", R"(expected "command": ["program", "argument"])");
  }
  read_how_it_runs(draft, section, worker);
  read_surroundings(draft, section, worker);
  check_runtime(section, worker);
  check_sandbox(section, worker);
  check_spares(section, worker);
  check_significance(section, worker);
}

}  // namespace

void read_workers(Draft& draft, const At& at) {
  const auto all = entries(at);
  if (at.value->type == Type::object && all.empty()) {
    at.wrong(R"(no worker (expected at least one, such as "echo": {"command": ["echo-worker"]}))");
  }
  for (const auto& [name, name_at, worker_at] : all) {
    check_name(name_at, worker_at, name, "a worker");
    draft.worker_index[name] = draft.config.workers.size();
    draft.worker_at.push_back(worker_at);
    WorkerConfig& worker = draft.config.workers.emplace_back(draft.worker_defaults);
    worker.name = name;
    read_worker(draft, worker_at, worker);
    const auto scaled = draft.context.scaled.find(name);
    if (scaled != draft.context.scaled.end()) worker.instances = scaled->second;
  }
}

}  // namespace bulkhead::supervisor
