// bench-child: what `bench-supervisors` has killed. Its parameters are in the environment, so that it needs no shell before it.
#include "bench/others/supervisors/child.hpp"

int main() { return bulkhead::bench::others::run_child(); }
