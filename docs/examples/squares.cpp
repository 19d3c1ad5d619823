#include <bulkhead/pool.hpp>

#include <cstdio>
#include <vector>

int main(int argc, char** argv) {
  bulkhead::Pool::entry(argc, argv);
  bulkhead::Pool pool({.workers = 4});
  const auto squares = pool.map(std::vector{1, 2, 3}, [](int x) { return x * x; });
  for (const int square : squares.values) std::printf("%d\n", square);
}
