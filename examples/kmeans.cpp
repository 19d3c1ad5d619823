// k-means: points in the plane are put into clusters around centres, which move to the middle of their points. The
// points lie in memory that workers map read-only; each block's assignments are written by the worker that has the
// block. Sums are made for each block and added up in the order of blocks, whoever made them when: the result is that
// of a serial run, bit for bit.
//
//   kmeans [POINTS]
#include <bulkhead/pool.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <ranges>
#include <span>
#include <utility>
#include <vector>

namespace {

using bulkhead::SharedArray;

struct Point {
  double x = 0, y = 0;
  bool operator==(const Point&) const = default;
};
constexpr std::size_t clusters = 8, rounds = 12, block_points = 4096;
using Centres = std::array<Point, clusters>;

// Of one block, or of all.
struct Sums {
  std::array<Point, clusters> sum{};
  std::array<std::uint64_t, clusters> count{};

  void operator+=(const Sums& other) {
    for (std::size_t k = 0; k < clusters; ++k) {
      sum[k].x += other.sum[k].x;
      sum[k].y += other.sum[k].y;
      count[k] += other.count[k];
    }
  }
};

std::uint32_t nearest(const Centres& centres, Point point) {
  std::uint32_t best = 0;
  double shortest = std::numeric_limits<double>::infinity();
  for (std::uint32_t k = 0; k < clusters; ++k) {
    const double dx = point.x - centres[k].x, dy = point.y - centres[k].y;
    const double distance = dx * dx + dy * dy;
    if (distance < shortest) best = k, shortest = distance;
  }
  return best;
}

Sums assign_block(std::size_t block, const Centres& centres, std::span<const Point> points,
                  std::span<std::uint32_t> assigned) {
  Sums sums;
  const std::size_t end = std::min((block + 1) * block_points, points.size());
  for (std::size_t i = block * block_points; i < end; ++i) {
    const std::uint32_t k = assigned[i] = nearest(centres, points[i]);
    sums.sum[k].x += points[i].x;
    sums.sum[k].y += points[i].y;
    ++sums.count[k];
  }
  return sums;
}

// Around as many middles as there are clusters; the same points each time.
void scatter(std::span<Point> points) {
  std::mt19937_64 random(20240229);
  const auto unit = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
  for (std::size_t i = 0; i < points.size(); ++i) {
    const double middle = static_cast<double>(i % clusters);
    points[i] = {middle * 3 + unit() + unit(), (i % 3 == 0 ? middle : -middle) + unit() + unit()};
  }
}

// The centres after some rounds; `sums_of` gives the sums of all blocks, in their order.
template <class SumsOf>
Centres find_centres(std::span<const Point> points, const SumsOf& sums_of) {
  Centres centres;
  for (std::size_t k = 0; k < clusters; ++k) centres[k] = points[k];
  for (std::size_t round = 0; round < rounds; ++round) {
    Sums all;
    for (const Sums& block : sums_of(centres)) all += block;
    for (std::size_t k = 0; k < clusters; ++k) {
      const auto count = static_cast<double>(all.count[k]);
      if (all.count[k] != 0) centres[k] = {all.sum[k].x / count, all.sum[k].y / count};
    }
  }
  return centres;
}

}  // namespace

int main(int argc, char** argv) {
  bulkhead::Pool::entry(argc, argv);
  const std::size_t count = argc == 2 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  if (argc > 2 || count < clusters || count > 100'000'000) {
    std::fprintf(stderr, "usage: kmeans [POINTS]   from %zu to 100000000\n", clusters);
    return 2;
  }
  // .value() throws what went wrong, which is as good as anything else in main.
  const auto points = SharedArray<Point>::create(count, "points").value();
  const auto assigned = SharedArray<std::uint32_t>::create(count, "assigned").value();
  scatter(points.span());
  const auto blocks = std::views::iota(std::size_t{0}, (count + block_points - 1) / block_points);

  bulkhead::Pool pool;
  const Centres centres = find_centres(points.span(), [&](const Centres& now) {
    auto sums = pool.map(
        blocks,
        [now](std::size_t block, const SharedArray<const Point>& from,
              const SharedArray<std::uint32_t>& to) {
          return assign_block(block, now, from.span(), to.span());
        },
        points.read_only(), assigned);
    if (!sums.complete()) {
      std::fprintf(stderr, "kmeans: %s\n", sums.failures.front().failure.in_words().c_str());
      std::exit(1);
    }
    return std::move(sums.values);
  });
  Sums last;
  for (const std::uint32_t k : assigned) ++last.count[k];
  for (std::size_t k = 0; k < clusters; ++k) {
    std::printf("%.6f %.6f: %ju points\n", centres[k].x, centres[k].y, last.count[k]);
  }

  std::vector<std::uint32_t> serially_assigned(count);
  const Centres serial = find_centres(points.span(), [&](const Centres& now) {
    std::vector<Sums> sums;
    for (const std::size_t block : blocks) {
      sums.push_back(assign_block(block, now, points.span(), serially_assigned));
    }
    return sums;
  });
  if (centres != serial || !std::ranges::equal(assigned.span(), serially_assigned)) {
    std::fprintf(stderr, "kmeans: a serial run finds other clusters\n");
    return 1;
  }
  std::printf("check: a serial run finds the same, bit for bit\n");
  return 0;
}
