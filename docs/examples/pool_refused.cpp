// What the compiler refuses, with the words that docs/pool.md quotes. Compiled with BULKHEAD_REFUSED, each line that says
// so is an error; without, nothing is left but what to write instead.
#include <bulkhead/pool.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace bulkhead;

int twice(int x) { return 2 * x; }

void refused(Pool& pool, std::string word, const std::vector<int>& numbers) {
#ifdef BULKHEAD_REFUSED
  // refused: a pool's callable captures values only
  pool.submit([&word] { return word.size(); });
  // refused: a pool's callable captures values only
  pool.submit([word] { return word.size(); });
  // refused: a pool's callable captures values only
  pool.submit(twice, 21);
  // refused: arguments, items and results are plain values, strings (no literal, no view)
  pool.submit([](const std::string& text) { return text.size(); }, "bulkhead");
  // refused: the callable does not take these arguments
  pool.map(numbers, [](std::vector<int>& all) { return all.size(); });
  // refused: map() collects results; for_each() is for functions without
  pool.map(numbers, [](int x) { std::printf("%d\n", x); });
#endif
  pool.submit([](const std::string& text) { return text.size(); }, word);
  pool.submit([](int x) { return twice(x); }, 21);
  pool.map(numbers, [](int x) { return x; });
}
