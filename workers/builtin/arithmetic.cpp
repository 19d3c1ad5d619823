#include "workers/builtin/arithmetic.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace bulkhead::workers {
namespace {

using Json = nlohmann::json;

Error wrong(const char* expected) { return make_error(Errc::invalid_argument, expected); }

// The primes up to and with `last`, by the sieve of Eratosthenes.
std::vector<std::uint32_t> small_primes(std::uint32_t last) {
  std::vector<bool> composite(last + 1, false);
  std::vector<std::uint32_t> primes;
  for (std::uint32_t n = 2; n <= last; ++n) {
    if (composite[n]) continue;
    primes.push_back(n);
    for (std::uint64_t m = std::uint64_t{n} * n; m <= last; m += n) composite[m] = true;
  }
  return primes;
}

// In blocks that stay in the cache, so that memory does not grow with the limit.
std::uint64_t primes_below(std::uint64_t limit) {
  constexpr std::uint64_t block = std::uint64_t{1} << 17;
  const auto root = static_cast<std::uint32_t>(std::sqrt(static_cast<double>(limit))) + 1;
  const auto primes = small_primes(root);
  std::vector<std::uint8_t> composite(block);
  std::uint64_t count = 0;
  for (std::uint64_t low = 2; low < limit; low += block) {
    const auto high = std::min(low + block, limit);
    std::fill(composite.begin(), composite.end(), std::uint8_t{0});
    for (const std::uint64_t prime : primes) {
      const auto first = std::max(prime * prime, (low + prime - 1) / prime * prime);
      for (auto m = first; m < high; m += prime) composite[m - low] = 1;
    }
    count += static_cast<std::uint64_t>(std::count(
        composite.begin(), composite.begin() + static_cast<std::ptrdiff_t>(high - low), 0));
  }
  return count;
}

struct Matrix {
  std::size_t rows = 0, columns = 0;
  std::vector<double> cells;
  double& at(std::size_t row, std::size_t column) { return cells[row * columns + column]; }
  double at(std::size_t row, std::size_t column) const { return cells[row * columns + column]; }
};

Result<Matrix> read_matrix(const Json& rows) {
  if (!rows.is_array() || rows.empty() || !rows[0].is_array() || rows[0].empty()) {
    return wrong("a matrix is an array of rows, each an array of numbers");
  }
  Matrix matrix{rows.size(), rows[0].size(), {}};
  if (std::max(matrix.rows, matrix.columns) > matrix_rows_max) {
    return wrong("a matrix has at most 512 rows and columns");
  }
  for (const auto& row : rows) {
    if (!row.is_array() || row.size() != matrix.columns) {
      return wrong("the rows of a matrix are arrays of the same length");
    }
    for (const auto& cell : row) {
      if (!cell.is_number()) return wrong("the cells of a matrix are numbers");
      matrix.cells.push_back(cell.get<double>());
    }
  }
  return matrix;
}

// Whole values print as whole numbers, which is what somebody at a shell expects.
Json number(double value) {
  constexpr double exact_most = 9007199254740992.0;  // 2^53
  if (std::trunc(value) == value && std::abs(value) <= exact_most) {
    return static_cast<std::int64_t>(value);
  }
  return value;
}

}  // namespace

Result<Json> add(const Json& arguments) {
  if (!arguments.is_array() || arguments.size() != 2 || !arguments[0].is_number() ||
      !arguments[1].is_number()) {
    return wrong("add takes an array of two numbers, like [1, 2]");
  }
  const Json &a = arguments[0], &b = arguments[1];
  constexpr auto too_big = std::uint64_t{1} << 63;
  const auto fits = [](const Json& n) {
    return n.is_number_unsigned() ? n.get<std::uint64_t>() < too_big : n.is_number_integer();
  };
  std::int64_t sum = 0;
  if (fits(a) && fits(b) &&
      !__builtin_add_overflow(a.get<std::int64_t>(), b.get<std::int64_t>(), &sum)) {
    return Json(sum);
  }
  return Json(a.get<double>() + b.get<double>());
}

Result<Json> count_primes(const Json& arguments) {
  const Json& limit = arguments.is_array() && arguments.size() == 1 ? arguments.at(0) : arguments;
  if (!limit.is_number_integer() || limit < 0 || limit > primes_below_max) {
    return wrong("primes takes one whole number from 0 to 200000000, like 100 or [100]");
  }
  return Json(primes_below(limit.get<std::uint64_t>()));
}

Result<Json> matrix_product(const Json& arguments) {
  if (!arguments.is_array() || arguments.size() != 2) {
    return wrong("matrix takes an array of two matrices, like [[[1,2]], [[3],[4]]]");
  }
  const auto a = read_matrix(arguments[0]);
  if (!a) return a.error();
  const auto b = read_matrix(arguments[1]);
  if (!b) return b.error();
  if (a->columns != b->rows)
    return wrong("the first matrix has as many columns as the second rows");
  Json product = Json::array();
  for (std::size_t row = 0; row < a->rows; ++row) {
    Json line = Json::array();
    for (std::size_t column = 0; column < b->columns; ++column) {
      double sum = 0;
      for (std::size_t k = 0; k < a->columns; ++k) sum += a->at(row, k) * b->at(k, column);
      line.push_back(number(sum));
    }
    product.push_back(std::move(line));
  }
  return product;
}

}  // namespace bulkhead::workers
