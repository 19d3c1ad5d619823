// Wires the sweep: what this machine can do, what is swept, who sweeps it, what is said.
#include <sys/prctl.h>

#include <cstdio>

#include "tests/crash/sweep/crew.hpp"
#include "tests/crash/sweep/options.hpp"
#include "tests/crash/sweep/report.hpp"
#include "tests/crash/sweep/runner.hpp"
#include "tests/crash/sweep/shared.hpp"
#include "tests/crash/sweep/table.hpp"

using namespace bulkhead::sweep;

int main(int count, char** arguments) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  const Options options = read_options(count, arguments);
  // What a victim leaves behind comes to its tracer.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  Victim::reach = choose_reach(options.must_step);
  const std::string only =
      options.replay.empty() ? options.only : options.replay.substr(0, options.replay.find('@'));
  const auto rows = calibrate_rows(all_rows(), only);
  if (options.list) {
    list(rows);
    return 0;
  }
  if (!options.replay.empty()) return replay(options.replay, rows);
  const Plan plan(rows, {options.points, options.pairs_per_row, 1000, options.seed});
  std::printf("%s: %zu states, %llu points, seed %llu\n", arguments[0], rows.size(),
              static_cast<unsigned long long>(plan.size()),
              static_cast<unsigned long long>(options.seed));
  Shared<Tally> tally;
  sweep_all(rows, plan, options.workers, *tally);
  return report(arguments[0], rows, plan, *tally) ? 0 : 1;
}
