#include "bench/split_work.hpp"

namespace bulkhead::bench {
namespace {

constexpr std::uint32_t iterations_max = 500;
constexpr std::uint32_t numbers_per_block = 1000;

std::uint32_t escape_time(double x, double y) noexcept {
  double re = 0, im = 0;
  for (std::uint32_t i = 0; i < iterations_max; ++i) {
    const double re2 = re * re, im2 = im * im;
    if (re2 + im2 > 4) return i;
    im = 2 * re * im + y;
    re = re2 - im2 + x;
  }
  return iterations_max;
}

std::uint64_t mandelbrot_row(std::uint32_t row, std::uint32_t rows) noexcept {
  std::uint64_t sum = 0;
  const double y = -1.2 + 2.4 * row / rows;
  for (std::uint32_t column = 0; column < rows; ++column) {
    sum += escape_time(-2.0 + 2.6 * column / rows, y);
  }
  return sum;
}

bool is_prime(std::uint32_t number) noexcept {
  if (number < 4) return number >= 2;
  if (number % 2 == 0) return false;
  for (std::uint32_t divisor = 3; divisor * divisor <= number; divisor += 2) {
    if (number % divisor == 0) return false;
  }
  return true;
}

std::uint64_t primes_in_block(std::uint32_t block) noexcept {
  std::uint64_t count = 0;
  const std::uint32_t begin = block * numbers_per_block;
  for (std::uint32_t number = begin; number < begin + numbers_per_block; ++number) {
    count += is_prime(number) ? 1 : 0;
  }
  return count;
}

}  // namespace

std::uint64_t SplitWork::operator()(std::uint32_t item) const noexcept {
  return kind == Kind::mandelbrot ? mandelbrot_row(item, items) : primes_in_block(item);
}

const char* to_text(SplitWork::Kind kind) noexcept {
  return kind == SplitWork::Kind::mandelbrot ? "mandelbrot" : "primes";
}

SplitWork mandelbrot_work(std::uint32_t rows) noexcept {
  return {SplitWork::Kind::mandelbrot, rows};
}
SplitWork primes_work(std::uint32_t thousands) noexcept {
  return {SplitWork::Kind::primes, thousands};
}

}  // namespace bulkhead::bench
