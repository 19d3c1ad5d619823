// bench-supervisors [--kills N] [--without NAME] [--json FILE]: recovery beside other people's supervisors.
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "bench/others/figures.hpp"
#include "bench/others/supervisors/comparison.hpp"

int main(int argc, char** argv) {
  using namespace bulkhead::bench::others;
  ComparisonOptions options;
  std::string json_path;
  CLI::App app("Recovery from kill -9, beside other people's supervisors", "bench-supervisors");
  app.add_option("--kills", options.kills, "kills of each, settled and young")
      ->check(CLI::Range(1, 100000));
  app.add_option("--without", options.without, "leave this one out; repeat it for more");
  app.add_option("--json", json_path, "write the figures to this file");
  CLI11_PARSE(app, argc, argv);

  const auto failed = [](const bulkhead::Error& error) {
    std::fprintf(stderr, "bench-supervisors: %s\n", error.to_string().c_str());
    return 1;
  };
  if (const auto can = expect_writable(json_path); !can) return failed(can.error());
  // Whoever interrupts us ends the wait that we are in, and we end the supervisors.
  sigset_t interruptions;
  ::sigemptyset(&interruptions);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&interruptions, signal);
  ::sigprocmask(SIG_BLOCK, &interruptions, nullptr);
  const bulkhead::base::UniqueFd interrupt{::signalfd(-1, &interruptions, SFD_CLOEXEC)};

  if (::isatty(STDERR_FILENO) == 1) {
    options.on_round = [&](int round) {
      std::fprintf(stderr, "\rround %d of %d ", round, options.kills);
    };
  }
  const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto compared =
      compare(all_recipes(folder / "bulkhead"), {folder / "bench-child", interrupt.get()}, options);
  if (options.on_round) std::fputc('\n', stderr);
  if (!compared) return failed(compared.error());
  std::fputs(to_text(*compared).c_str(), stdout);
  if (json_path.empty()) return 0;
  const auto written = write_figures(json_path, to_json(*compared));
  return written ? 0 : failed(written.error());
}
