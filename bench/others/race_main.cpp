// bench-others [--quick] [--size BYTES] [--json FILE]: round trips beside other people's libraries.
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>

#include "bench/others/report.hpp"

int main(int argc, char** argv) {
  using namespace bulkhead::bench::others;
  RaceOptions options;
  std::string json_path;
  CLI::App app("Round trips between two processes, beside other people's libraries",
               "bench-others");
  app.add_flag("--quick", options.quick, "fewer round trips behind each figure");
  app.add_option("--size", options.bytes, "bytes of a message")->check(CLI::Range(8, 8192));
  app.add_option("--json", json_path, "write the figures to this file");
  CLI11_PARSE(app, argc, argv);

  // A process of its own for each race: the libraries keep threads and state that no fork survives.
  auto rows = nlohmann::json::array();
  for (const auto waiting : {Waiting::polling, Waiting::blocking}) {
    auto raced = run_apart(waiting, options);
    if (!raced) {
      std::fprintf(stderr, "bench-others: %s\n", raced.error().to_string().c_str());
      return 1;
    }
    print_table(waiting, options, *raced);
    for (auto& row : to_json(waiting, options, *raced)) rows.push_back(std::move(row));
  }
  return json_path.empty() || write_figures(json_path, rows) ? 0 : 1;
}
