#include "tests/crash/sweep/plan.hpp"

#include <algorithm>
#include <charconv>

namespace bulkhead::sweep {
namespace {

constexpr std::uint64_t least_quota = 40;
constexpr std::string_view way_names[] = {"kill", "pause", "pair"};

// splitmix64 (Steele, Lea, Flood 2014): a good hash of a counter.
std::uint64_t mix(std::uint64_t x) noexcept {
  x += 0x9e37'79b9'7f4a'7c15;
  x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9;
  x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11eb;
  return x ^ (x >> 31);
}

std::uint64_t points_of(const CalibratedRow& row, Way way) noexcept {
  switch (way) {
    case Way::kill: return row.row.killed ? row.traces[0].kill_points() : 0;
    case Way::pause: return row.row.paused ? row.traces[0].points.size() : 0;
    case Way::pair:
      return row.row.pair ? row.traces[0].points.size() * row.traces[1].points.size() : 0;
  }
  return 0;
}

}  // namespace

Plan::Plan(const std::vector<CalibratedRow>& rows, const Limits& limits)
    : rows_(rows), seed_(limits.seed) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const Way way : {Way::kill, Way::pause, Way::pair}) {
      const std::uint64_t total = points_of(rows[i], way);
      std::uint64_t quota = way == Way::pair ? std::min(total, limits.pairs_per_row) : total;
      if (rows[i].row.control) quota = std::min(quota, limits.per_control);
      if (quota != 0) shares_.push_back({i, way, total, quota});
    }
  }
  std::uint64_t wanted = 0;
  for (const Share& share : shares_) {
    if (!rows[share.row].row.control) wanted += share.quota;
  }
  for (Share& share : shares_) {
    const bool thinned =
        limits.points != 0 && limits.points < wanted && !rows[share.row].row.control;
    if (thinned) {
      const auto scaled = static_cast<std::uint64_t>(static_cast<double>(share.quota) *
                                                     static_cast<double>(limits.points) /
                                                     static_cast<double>(wanted));
      share.quota = std::min(share.quota, std::max(scaled, least_quota));
    }
    share.begin = size_;
    size_ += share.quota;
  }
}

Item Plan::item(std::uint64_t ordinal) const {
  const auto after = std::upper_bound(
      shares_.begin(), shares_.end(), ordinal,
      [](std::uint64_t wanted, const Share& share) { return wanted < share.begin; });
  const Share& share = *(after - 1);
  const std::uint64_t nth = ordinal - share.begin;
  std::uint64_t index = nth;
  if (share.quota != share.total) {
    const std::uint64_t from = share.total * nth / share.quota;
    const std::uint64_t to = share.total * (nth + 1) / share.quota;
    index = from + mix(seed_ ^ mix(ordinal)) % (to - from);
  }
  if (share.way != Way::pair) return {share.row, share.way, {index, 0}};
  const std::uint64_t width = rows_[share.row].traces[1].points.size();
  return {share.row, share.way, {index / width, index % width}};
}

std::string to_string(const Item& item, const std::vector<CalibratedRow>& rows) {
  std::string text = rows[item.row].row.name + '@' +
                     std::string(way_names[static_cast<std::size_t>(item.way)]) + ':' +
                     std::to_string(item.points[0]);
  if (item.way == Way::pair) text += ',' + std::to_string(item.points[1]);
  return text;
}

std::optional<Item> parse_item(std::string_view text, const std::vector<CalibratedRow>& rows) {
  const auto at = text.find('@'), colon = text.find(':');
  if (at == text.npos || colon == text.npos || colon < at) return std::nullopt;
  Item item;
  while (item.row < rows.size() && rows[item.row].row.name != text.substr(0, at)) ++item.row;
  const auto way =
      std::find(std::begin(way_names), std::end(way_names), text.substr(at + 1, colon - at - 1));
  if (item.row == rows.size() || way == std::end(way_names)) return std::nullopt;
  item.way = static_cast<Way>(way - std::begin(way_names));
  const char* const end = text.data() + text.size();
  auto read = std::from_chars(text.data() + colon + 1, end, item.points[0]);
  const bool pair = item.way == Way::pair;
  if (read.ec == std::errc{} && pair && read.ptr != end && *read.ptr == ',') {
    read = std::from_chars(read.ptr + 1, end, item.points[1]);
  }
  const CalibratedRow& row = rows[item.row];
  const bool fits = pair ? item.points[0] < row.traces[0].points.size() &&
                               item.points[1] < row.traces[1].points.size()
                         : item.points[0] < points_of(row, item.way);
  return read.ec == std::errc{} && read.ptr == end && fits ? std::optional(item) : std::nullopt;
}

}  // namespace bulkhead::sweep
