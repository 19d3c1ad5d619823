// Which points are swept: all of them, or a sample that a seed chooses. Pure; knows no process.
//
// Each row is swept in up to three ways, and each (row, way) is a share of the plan with its own points. A
// share gets all of its points or a quota; a quota is spread evenly, one random point out of each of
// equally large stretches, so that no part of an operation is left out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/crash/sweep/operation.hpp"
#include "tests/crash/sweep/trace.hpp"

namespace bulkhead::sweep {

enum class Way : std::uint8_t { kill, pause, pair };

struct CalibratedRow {
  Row row;
  Trace traces[2];  // by actor
};

struct Item {
  std::size_t row = 0;
  Way way = Way::kill;
  std::size_t points[2] = {0, 0};  // the second: where the second victim of a pair stands
};

class Plan {
 public:
  struct Limits {
    std::uint64_t points = 0;  // roughly so many in all, controls apart; 0: all
    std::uint64_t pairs_per_row = 0;
    std::uint64_t per_control = 0;
    std::uint64_t seed = 1;
  };
  Plan(const std::vector<CalibratedRow>& rows, const Limits& limits);

  std::uint64_t size() const noexcept { return size_; }
  Item item(std::uint64_t ordinal) const;

 private:
  struct Share {
    std::size_t row;
    Way way;
    std::uint64_t total, quota;
    std::uint64_t begin = 0;  // ordinal of its first item
  };

  const std::vector<CalibratedRow>& rows_;
  std::uint64_t seed_;
  std::uint64_t size_ = 0;
  std::vector<Share> shares_;
};

// "lane.publish.full@kill:137", "lane.both@pair:12,40": what a failure prints and --replay takes.
std::string to_string(const Item& item, const std::vector<CalibratedRow>& rows);
std::optional<Item> parse_item(std::string_view text, const std::vector<CalibratedRow>& rows);

}  // namespace bulkhead::sweep
