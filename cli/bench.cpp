// `bench`: measures, shows the figures to a person, and writes them for programs.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/latency.hpp"
#include "bench/machine.hpp"
#include "bench/pool.hpp"
#include "bench/recovery.hpp"
#include "bench/throughput.hpp"
#include "cli/commands.hpp"
#include "cli/commit.hpp"
#include "cli/system.hpp"
#include "cli/terminal.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;
using Align = Table::Align;

std::string microseconds(const json& row, const char* key) {
  return span_text(
      std::chrono::nanoseconds(static_cast<std::int64_t>(row.at(key).get<double>() * 1e3)));
}

void show_recovery(const json& rows) {
  Table table({{"CAUSE"},
               {"WARM SPARE"},
               {"KILLS", Align::right},
               {"DETECTED p50", Align::right},
               {"p99", Align::right},
               {"READY p50", Align::right},
               {"p99", Align::right},
               {"MAX", Align::right}});
  for (const auto& row : rows) {
    table.add({{row.at("cause").get<std::string>()},
               {row.at("warm_spare").get<bool>() ? "yes" : "no"},
               {row.at("n").dump()},
               {microseconds(row, "detected_p50_us")},
               {microseconds(row, "detected_p99_us")},
               {microseconds(row, "ready_p50_us")},
               {microseconds(row, "ready_p99_us")},
               {microseconds(row, "ready_max_us")}});
  }
  std::fputs(table.render(colours_wanted(STDOUT_FILENO)).c_str(), stdout);
}

// Before the measurement, which takes minutes.
Outcome expect_writable(const std::string& path) {
  if (path.empty() || std::ofstream(path, std::ios::app)) return Outcome::done;
  return complain(Outcome::failed, "the figures cannot be written to " + path + ": " +
                                       std::strerror(errno) + " (give --json another path)");
}

// {"machine": …, "rows": […]}
Outcome write_figures(const std::string& path, const json& rows) {
  if (path.empty()) return Outcome::done;
  std::ofstream file(path);
  file << json{{"machine", bench::describe_machine(commit())}, {"rows", rows}}.dump(1) << '\n';
  file.close();
  if (file) return Outcome::done;
  return complain(Outcome::failed, "the figures cannot be written to " + path);
}

std::optional<WaitMode> parse_mode(const std::string& name) {
  for (const auto mode : {WaitMode::spin, WaitMode::adaptive, WaitMode::block}) {
    if (name == bench::to_text(mode)) return mode;
  }
  return std::nullopt;
}

}  // namespace

Outcome bench_latency(const BenchOptions& options) {
  bench::LatencyOptions latency;
  latency.quick = options.quick;
  latency.sizes = options.sizes;
  for (const auto& name : options.transports) {
    const auto transport = parse_transport(name);
    if (!transport) {
      return complain(Outcome::usage,
                      "bench latency: --transport " + name + " is none of shm, unix, tcp, pipe");
    }
    latency.transports.push_back(*transport);
  }
  for (const auto& name : options.modes) {
    const auto mode = parse_mode(name);
    if (!mode) {
      return complain(Outcome::usage,
                      "bench latency: --mode " + name + " is none of spin, adaptive, block");
    }
    latency.modes.push_back(*mode);
  }
  if (const auto can = expect_writable(options.json_path); can != Outcome::done) return can;
  // It takes minutes: a person wants to see that it goes on.
  if (::isatty(STDERR_FILENO) == 1) {
    latency.on_row = [](const bench::BenchRow& row) {
      std::fprintf(stderr, "%s, %zu bytes: %.0f ns\n",
                   std::string(to_string(row.transport)).c_str(), row.size, row.mean_ns);
    };
  }
  const auto rows = bench::run_latency(latency);
  if (!rows) return complain(rows.error());
  bench::print_table(*rows);
  return write_figures(options.json_path, bench::to_json(*rows));
}

Outcome bench_throughput(const BenchOptions& options) {
  bench::ThroughputOptions throughput;
  throughput.quick = options.quick;
  if (const auto can = expect_writable(options.json_path); can != Outcome::done) return can;
  const auto rows = bench::run_throughput(throughput);
  if (!rows) return complain(rows.error());
  bench::print_table(*rows);
  return write_figures(options.json_path, bench::to_json(*rows));
}

Outcome bench_pool(const BenchOptions& options) {
  if (const auto can = expect_writable(options.json_path); can != Outcome::done) return can;
  const auto rows = bench::run_pool({.quick = options.quick});
  if (!rows) return complain(rows.error());
  bench::print_table(*rows);
  return write_figures(options.json_path, bench::to_json(*rows));
}

Outcome bench_recovery(const BenchOptions& options) {
  if (const auto can = expect_writable(options.json_path); can != Outcome::done) return can;
  bench::RecoveryOptions recovery;
  recovery.program = program_path();
  recovery.kills = options.kills.value_or(options.quick ? 30 : 200);
  json rows = json::array();
  for (const bool warm_spare : {false, true}) {
    recovery.warm_spare = warm_spare;
    auto row = bench::measure_recovery(recovery);
    if (!row) return complain(row.error());
    rows.push_back(std::move(*row));
  }
  show_recovery(rows);
  return write_figures(options.json_path, rows);
}

}  // namespace bulkhead::cli
