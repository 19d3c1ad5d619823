#include "tests/crash/sweep/options.hpp"

#include <getopt.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

namespace bulkhead::sweep {
namespace {

constexpr const char* help = R"(Kills an operation at every instruction and checks what is left.

  --points N     a sample of about N points (0: all of them, and what --pairs says of pairs)
  --pairs N      at most N pairs of points for each row with two victims
  --seed N       which sample (default: a new one, printed)
  --only PREFIX  rows whose names begin so
  --workers N    tracers side by side, 1 or 2
  --step         single-step to each point, as where there are no debug registers
  --replay POINT one point, as a failure names it
  --list         the rows and how many points each has
)";

std::uint64_t number_of(const char* option, const char* text) {
  std::uint64_t value = 0;
  const char* const end = text + std::strlen(text);
  const auto read = std::from_chars(text, end, value);
  if (read.ec == std::errc{} && read.ptr == end && read.ptr != text) return value;
  std::fprintf(stderr, "sweep: --%s takes a number, not \"%s\"\n", option, text);
  std::exit(2);
}

}  // namespace

Options read_options(int count, char** arguments) {
  static const option known[] = {
      {"points", required_argument, nullptr, 'p'},  {"pairs", required_argument, nullptr, '2'},
      {"seed", required_argument, nullptr, 's'},    {"only", required_argument, nullptr, 'o'},
      {"workers", required_argument, nullptr, 'w'}, {"step", no_argument, nullptr, 't'},
      {"replay", required_argument, nullptr, 'r'},  {"list", no_argument, nullptr, 'l'},
      {"help", no_argument, nullptr, 'h'},          {}};
  Options options;
  int index = 0;
  for (int found = 0; (found = getopt_long(count, arguments, "", known, &index)) != -1;) {
    switch (found) {
      case 'p': options.points = number_of("points", optarg); break;
      case '2': options.pairs_per_row = number_of("pairs", optarg); break;
      case 's': options.seed = number_of("seed", optarg); break;
      case 'o': options.only = optarg; break;
      case 'w': options.workers = number_of("workers", optarg); break;
      case 't': options.must_step = true; break;
      case 'r': options.replay = optarg; break;
      case 'l': options.list = true; break;
      case 'h': std::fputs(help, stdout); std::exit(0);
      default: std::exit(2);
    }
  }
  if (optind != count || options.workers == 0 || options.workers > 2) {
    std::fputs("sweep: see --help\n", stderr);
    std::exit(2);
  }
  if (options.seed == 0) options.seed = std::random_device{}();
  return options;
}

}  // namespace bulkhead::sweep
