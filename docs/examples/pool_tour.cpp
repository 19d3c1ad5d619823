// What docs/pool.md quotes of results, one function a section. Each checks what the guide says of it.
#include <bulkhead/pool.hpp>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <numeric>
#include <ranges>
#include <span>
#include <string>
#include <tuple>
#include <vector>

using namespace std::chrono_literals;
using namespace bulkhead;

struct Reading {
  explicit Reading(double measured) : value(measured) {}
  double value;
};
template <>
inline constexpr bool bulkhead::raw_body<Reading> = true;

namespace {

// Like assert(), in every build.
void expect(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "pool_tour: not so: %s\n", what);
  std::exit(1);
}

int parse(const std::string& text) { return std::stoi(text); }

void futures(Pool& pool) {
  int k = 3;
  Future<int> product = pool.submit([k](int x) { return k * x; }, 7);
  auto number = pool.submit([](const std::string& text) { return parse(text); }, std::string("42"));

  if (auto result = product.get(Deadline::in(5s))) {
    std::printf("%d\n", *result);  // 21
  } else if (product.is_ready()) {
    std::printf("failed: %s\n", product.failure()->in_words().c_str());
  } else {
    std::printf("%s\n", result.error().to_string().c_str());  // no result within 5 s
  }
  std::printf("%d\n", number.value());  // 42; what the task throws is thrown here

  expect(product.value() == 21 && number.value() == 42, "futures have results");
}

void completions(Pool& pool) {
  std::vector<Future<double>> roots;
  for (int i = 0; i < 8; ++i) roots.push_back(pool.submit([i] { return std::sqrt(i); }));
  double sum = 0;
  for (AsCompleted done(roots); auto index = done.next();) sum += roots[*index].value();

  expect(sum > 13.47 && sum < 13.48, "each future comes once");
}

void maps(Pool& pool) {
  const std::vector<std::string> texts = {"12", "x", "30"};
  const auto numbers = pool.map(texts, [](const std::string& text) { return parse(text); });
  for (const auto& [item, failure] : numbers.failures) {
    std::printf("%s: %s\n", texts[item].c_str(), failure.in_words().c_str());  // x: std::invalid_…
  }

  expect(numbers.values == std::vector{12, 0, 30} && numbers.failures.size() == 1, "map");
}

void more_ranges(Pool& pool) {
  const std::vector<double> weights = {0.5, 1, 2};
  const auto weighed = pool.map(
      std::views::iota(std::size_t{0}, weights.size()),
      [](std::size_t i, const std::vector<double>& all) { return 10 * all[i]; }, weights);

  const std::vector<std::pair<std::string, int>> pairs = {{"a", 2}, {"b", 3}};
  const auto named = pool.starmap(
      pairs, [](const std::string& name, int number) { return name + std::to_string(number); });

  const auto harmonic = pool.reduce(
      1, 1001, 0.0, [](std::uint64_t i) { return 1.0 / static_cast<double>(i); }, std::plus<>());

  long long sum = 0;
  const auto squared = pool.map_unordered(
      std::views::iota(0, 1000), [](int i) { return i * i; },
      [&sum](std::size_t, int square) { sum += square; });

  expect(weighed.values == std::vector<double>{5, 10, 20}, "shared arguments");
  expect(named.values == std::vector<std::string>{"a2", "b3"}, "starmap");
  expect(harmonic && *harmonic > 7.48 && *harmonic < 7.49, "reduce");
  expect(squared.complete() && sum == 332833500, "map_unordered");
}

struct Order {
  std::string customer;
  std::map<std::string, int> items;
  NLOHMANN_DEFINE_TYPE_INTRUSIVE(Order, customer, items)
};

void own_types(Pool& pool) {
  auto pieces = pool.submit(
      [](const Order& order) {
        int sum = 0;
        for (const auto& [name, count] : order.items) sum += count;
        return sum;
      },
      Order{"Ada", {{"pear", 2}, {"plum", 3}}});

  auto doubled =
      pool.submit([](const Reading& from) { return Reading(2 * from.value); }, Reading(4));

  expect(pieces.value() == 5 && doubled.value().value == 8, "types of one's own");
}

Result<double> mean_of_squares(Pool& pool) {
  auto squares = SharedArray<double>::create(1'000'000, "squares");
  if (!squares) return squares.error();
  const auto filled = pool.for_each(
      0, squares->size(),
      [](std::uint64_t i, const SharedArray<double>& all) {
        all[i] = static_cast<double>(i) * static_cast<double>(i);
      },
      *squares);
  if (!filled.complete()) return filled.failures.front().failure.error;
  auto sum = pool.submit(
      [](const SharedArray<const double>& all) { return std::reduce(all.begin(), all.end()); },
      squares->read_only());
  return sum.value() / static_cast<double>(squares->size());
}

Result<std::size_t> sealed(Pool& pool) {
  const std::string text(100'000, '.');
  auto buffer = SealedBuffer::copy_of("text", std::as_bytes(std::span(text)));
  if (!buffer) return buffer.error();
  return pool.submit([](const SealedBuffer& from) { return from.bytes().size(); }, *buffer).get();
}

// Of each worker, not of this process.
std::vector<double> table;

void initializer() {
  Pool pool({.workers = 2, .tasks_per_worker_max = 1000, .initializer = [] {
               for (int i = 0; i < 100; ++i) table.push_back(std::sqrt(i));
             }});
  auto root = pool.submit([](std::size_t i) { return table.at(i); }, std::size_t{49});

  expect(root.value() == 7 && table.empty(), "the table is the workers'");
}

void priorities(Pool& pool) {
  auto later = pool.submit([] { return 1; });
  auto sooner = pool.submit_with({.priority = 10}, [] { return 2; });

  expect(later.value() == 1 && sooner.value() == 2, "both are run");
}

void policies() {
  using namespace std::chrono_literals;
  Pool short_first({.workers = 1, .scheduling = {.policy = SchedulingPolicy::shortest_remaining}});
  auto long_one = short_first.submit_with({.expected = 10min}, [] { return 1; });
  auto short_one = short_first.submit_with({.expected = 1ms}, [] { return 2; });
  expect(long_one.value() == 1 && short_one.value() == 2, "both are run");
}

// One worker, kept busy until two tasks wait: the first to get a number is the more important one.
void order_of_priorities() {
  Pool pool({.workers = 1});
  const auto words = SharedArray<std::uint64_t>::create(2, "words").value();
  const auto next = [](const SharedArray<std::uint64_t>& all) { return ++all[1]; };
  auto busy = pool.submit(
      [](const SharedArray<std::uint64_t>& all) {
        const std::atomic_ref<std::uint64_t> go(all[0]);
        while (go == 0) continue;
      },
      words);
  auto later = pool.submit(next, words);
  auto sooner = pool.submit_with({.priority = 10}, next, words);
  std::atomic_ref<std::uint64_t>(words[0]).store(1);

  expect(busy.wait().has_value() && sooner.value() == 1 && later.value() == 2, "higher first");
}

void memory_as_result(Pool& pool) {
  auto made = pool.submit([] {
    auto array = SharedArray<int>::create(10).value();
    array[9] = 42;
    return array;
  });
  auto copied = pool.submit([]() -> Result<SealedBuffer> {
    const char bytes[] = "sealed";
    return SealedBuffer::copy_of("result", std::as_bytes(std::span(bytes)));
  });

  expect(made.value()[9] == 42 && copied.value().bytes().size() == 7, "tasks return memory");
}

void debugging() {
  Pool inline_pool({.where = Where::caller});
  std::printf("%d\n", inline_pool.submit([](int x) { return x + 1; }, 41).value());  // 42
}

}  // namespace

int main(int argc, char** argv) {
  Pool::entry(argc, argv);
  Pool pool({.workers = 2});
  futures(pool);
  completions(pool);
  maps(pool);
  more_ranges(pool);
  own_types(pool);
  const auto mean = mean_of_squares(pool);
  expect(mean && *mean > 3.3e11 && *mean < 3.4e11, "what tasks have written is seen");
  const auto bytes = sealed(pool);
  expect(bytes && *bytes == 100'000, "a sealed buffer arrives");
  initializer();
  priorities(pool);
  policies();
  order_of_priorities();
  memory_as_result(pool);
  debugging();
}
