// bench-pools [--quick] [--workers N] [--json FILE]: our pool beside other people's threads and Python's pools.
#include <CLI/CLI.hpp>
#include <bulkhead/pool.hpp>
#include <cstdio>
#include <filesystem>
#include <map>

#include "bench/machine.hpp"
#include "bench/others/figures.hpp"
#include "bench/others/pools/comparison.hpp"

int main(int argc, char** argv) {
  bulkhead::Pool::entry(argc, argv);
  using namespace bulkhead::bench::others;
  PoolsOptions options;
  options.workers = bulkhead::bench::usable_processors();
  bool is_quick = false;
  std::string json_path;
  CLI::App app("A pool of processes, beside other people's threads and pools", "bench-pools");
  app.add_flag("--quick", is_quick, "fewer rounds");
  app.add_option("--workers", options.workers, "of each; without it one for each processor")
      ->check(CLI::Range(1, 256));
  app.add_option("--json", json_path, "write the figures to this file");
  CLI11_PARSE(app, argc, argv);

  const auto failed = [](const bulkhead::Error& error) {
    std::fprintf(stderr, "bench-pools: %s\n", error.to_string().c_str());
    return 1;
  };
  if (const auto can = expect_writable(json_path); !can) return failed(can.error());
  if (is_quick) options.effort = bulkhead::bench::quick_pool_effort();
  options.script = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "bench-pools.py";
  const auto compared = compare_pools(
      {openmp(options.workers, options.effort), onetbb(options.workers, options.effort)}, options);
  if (!compared) return failed(compared.error());
  bulkhead::bench::print_table(compared->rows);
  std::map<std::string, std::string> versions;
  for (const auto& row : compared->rows) versions[row.peer] = row.version;
  for (const auto& [peer, version] : versions) {
    if (!version.empty()) std::printf("%s: %s\n", peer.c_str(), version.c_str());
  }
  for (const auto& left : compared->left_out) {
    std::printf("left out: %s (%s)\n", left.peer.c_str(), left.why.c_str());
  }
  if (json_path.empty()) return 0;
  const auto written = write_figures(json_path, bulkhead::bench::to_json(compared->rows));
  return written ? 0 : failed(written.error());
}
