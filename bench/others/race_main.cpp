// bench-others [--quick] [--size BYTES] [--json FILE]: round trips and throughput beside other people's libraries.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "bench/others/figures.hpp"
#include "bench/others/report.hpp"

int main(int argc, char** argv) {
  using namespace bulkhead::bench::others;
  RaceOptions options;
  std::string json_path;
  CLI::App app("Round trips and throughput between two processes, beside other people's libraries",
               "bench-others");
  app.add_flag("--quick", options.quick, "fewer round trips behind each figure");
  app.add_option("--size", options.bytes, "bytes of a message")->check(CLI::Range(8, 8192));
  app.add_option("--json", json_path, "write the figures to this file");
  CLI11_PARSE(app, argc, argv);

  const auto failed = [](const bulkhead::Error& error) {
    std::fprintf(stderr, "bench-others: %s\n", error.to_string().c_str());
    return 1;
  };
  if (const auto can = expect_writable(json_path); !can) return failed(can.error());
  auto figures = nlohmann::json::array();
  const auto add = [&figures](nlohmann::json rows) {
    for (auto& row : rows) figures.push_back(std::move(row));
  };
  for (const auto waiting : {Waiting::polling, Waiting::blocking}) {
    const auto raced = race_apart(waiting, options);
    if (!raced) return failed(raced.error());
    print_table(waiting, options, *raced);
    add(to_json(waiting, options, *raced));
  }
  const auto streamed = stream_apart(options);
  if (!streamed) return failed(streamed.error());
  print_table(options, *streamed);
  add(to_json(options, *streamed));
  if (json_path.empty()) return 0;
  const auto written = write_figures(json_path, figures);
  return written ? 0 : failed(written.error());
}
