// bulkhead-keeper: what `bulkhead run` turns into. Wires arguments to a Keeper.
#include <cstdio>

#include "supervisor/keeper.hpp"

int main(int argc, char** argv) {
  using namespace bulkhead::supervisor;
  static Keeper keeper;
  const auto fail = [](const bulkhead::Error& error) {
    std::fprintf(stderr, "bulkhead: %s\n", error.to_string().c_str());
    return 1;
  };
  const auto arguments = parse_keeper_arguments(argc, argv);
  if (!arguments) return fail(arguments.error());
  if (const auto ready = keeper.prepare(*arguments); !ready) return fail(ready.error());
  return keeper.run();
}
