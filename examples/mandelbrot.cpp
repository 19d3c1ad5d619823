// A picture of the Mandelbrot set. Rows are computed by whichever worker is free and written straight into memory
// that all of them share with this process: no pixel is ever sent.
//
//   mandelbrot FILE.ppm [WIDTH HEIGHT]
#include <bulkhead/pool.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

namespace {

using Pixel = std::array<std::uint8_t, 3>;

// A point of the complex plane.
struct Complex {
  double re = 0, im = 0;
};

// What is seen: captured by value, since it is small and plain.
struct View {
  std::uint64_t width = 1200, height = 800;
  Complex centre{-0.75, 0};
  double across = 3.6;

  Complex point(std::uint64_t x, std::uint64_t y) const {
    const double step = across / static_cast<double>(width);
    return {centre.re + step * (static_cast<double>(x) - static_cast<double>(width) / 2),
            centre.im + step * (static_cast<double>(y) - static_cast<double>(height) / 2)};
  }
};

constexpr unsigned iterations_max = 1000;

unsigned iterations_at(Complex c) {
  Complex z;
  unsigned n = 0;
  for (; n < iterations_max && z.re * z.re + z.im * z.im <= 4; ++n) {
    z = {z.re * z.re - z.im * z.im + c.re, 2 * z.re * z.im + c.im};
  }
  return n;
}

Pixel colour_of(unsigned iterations) {
  if (iterations == iterations_max) return {0, 0, 0};
  const auto shade = [&](unsigned speed) {
    return static_cast<std::uint8_t>(std::min(255U, iterations * speed));
  };
  return {shade(2), shade(5), static_cast<std::uint8_t>(64 + shade(9) * 3 / 4)};
}

void draw_row(const View& view, std::uint64_t y, std::span<Pixel> row) {
  for (std::uint64_t x = 0; x < row.size(); ++x)
    row[x] = colour_of(iterations_at(view.point(x, y)));
}

bool write_picture(const char* path, const View& view, std::span<const Pixel> pixels) {
  std::FILE* const file = std::fopen(path, "wb");
  if (file == nullptr) return false;
  std::fprintf(file, "P6\n%ju %ju\n255\n", view.width, view.height);
  const bool written =
      std::fwrite(pixels.data(), sizeof(Pixel), pixels.size(), file) == pixels.size();
  return (std::fclose(file) == 0) && written;
}

// 0 for what is no size.
std::uint64_t size_in(const char* text) {
  char* end = nullptr;
  const std::uint64_t size = std::strtoull(text, &end, 10);
  return *end == '\0' && size <= 16384 ? size : 0;
}

}  // namespace

int main(int argc, char** argv) {
  bulkhead::Pool::entry(argc, argv);
  View view;
  if (argc == 4) {
    view.width = size_in(argv[2]);
    view.height = size_in(argv[3]);
  }
  if ((argc != 2 && argc != 4) || view.width == 0 || view.height == 0) {
    std::fprintf(stderr, "usage: mandelbrot FILE.ppm [WIDTH HEIGHT]\n");
    return 2;
  }
  const auto picture = bulkhead::SharedArray<Pixel>::create(view.width * view.height, "picture");
  if (!picture) {
    std::fprintf(stderr, "mandelbrot: %s\n", picture.error().to_string().c_str());
    return 1;
  }

  bulkhead::Pool pool;
  const auto drawn = pool.for_each(
      0, view.height,
      [view](std::uint64_t y, const bulkhead::SharedArray<Pixel>& pixels) {
        draw_row(view, y, pixels.span().subspan(y * view.width, view.width));
      },
      *picture);
  if (!drawn.complete()) {
    std::fprintf(stderr, "mandelbrot: %s\n", drawn.failures.front().failure.in_words().c_str());
    return 1;
  }
  if (!write_picture(argv[1], view, picture->span())) {
    std::perror(argv[1]);
    return 1;
  }
  std::printf("%s: %ju x %ju pixels\n", argv[1], view.width, view.height);

  std::vector<Pixel> row(view.width);
  for (std::uint64_t y = 0; y < view.height; ++y) {
    draw_row(view, y, row);
    if (!std::equal(row.begin(), row.end(), picture->begin() + y * view.width)) {
      std::fprintf(stderr, "mandelbrot: row %ju is not what a serial run draws\n", y);
      return 1;
    }
  }
  std::printf("check: a serial run draws the same\n");
  return 0;
}
