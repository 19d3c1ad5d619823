// The number pi by four processes, and what three of them are told when one is killed: what docs/spmd.md quotes.
#include <signal.h>
#include <bulkhead/spmd.hpp>

#include <cstdio>
#include <functional>

using namespace bulkhead;

namespace {

Result<double> pi(Communicator& group, long steps) {
  const double width = 1.0 / static_cast<double>(steps);
  double sum = 0;
  for (long i = group.rank(); i < steps; i += group.size()) {
    const double x = (static_cast<double>(i) + 0.5) * width;
    sum += 4 / (1 + x * x);
  }
  return group.all_reduce(sum * width, std::plus<>());
}

Result<double> pi_with_an_accident(Communicator& group, long steps) {
  if (group.rank() == 2) raise(SIGKILL);
  return pi(group, steps);
}

}  // namespace

int main(int argc, char** argv) {
  Pool::entry(argc, argv);
  long steps = 1'000'000;
  const auto outcome = run_spmd(4, [steps](Communicator& group) { return pi(group, steps); });
  if (!outcome || !outcome->complete()) return 1;
  std::printf("pi is %.10f\n", outcome->values[0]);

  const auto told =
      run_spmd(4, [steps](Communicator& group) { return pi_with_an_accident(group, steps); });
  if (!told) return 1;
  for (const auto& [rank, failure] : told->failures) {
    std::printf("rank %u: %s\n", rank, failure.in_words().c_str());
  }
  return 0;
}
