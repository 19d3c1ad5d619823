#include "bench/others/report.hpp"

#include <cstdio>

#include "bench/others/apart.hpp"

namespace bulkhead::bench::others {

using nlohmann::json;

// How rows pass from the process that measured them.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RaceRow, peer, transport, mean_ns, p50_ns, p99_ns, p999_ns,
                                   max_ns, cpu_percent, n)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(StreamRow, peer, transport, messages_per_s)

namespace {

const char* mode_of(Waiting waiting) { return waiting == Waiting::polling ? "spin" : "block"; }

template <class Row, class Measure>
Result<std::vector<Row>> rows_apart(const Measure& measure) {
  const auto rows = run_apart([&]() -> Result<json> {
    const auto measured = measure();
    if (!measured) return measured.error();
    return json(*measured);
  });
  if (!rows) return rows.error();
  return rows->template get<std::vector<Row>>();
}

}  // namespace

Result<std::vector<RaceRow>> race_apart(Waiting waiting, const RaceOptions& options) {
  return rows_apart<RaceRow>([&] { return run_race(waiting, options); });
}

Result<std::vector<StreamRow>> stream_apart(const RaceOptions& options) {
  return rows_apart<StreamRow>([&] { return run_streams(options); });
}

void print_table(Waiting waiting, const RaceOptions& options, const std::vector<RaceRow>& rows) {
  const double ours = rows[1].mean_ns;  // shm; the bare mechanism comes first
  std::printf("%s, %zu bytes, round trip\n", waiting == Waiting::polling ? "awake" : "asleep",
              options.bytes);
  std::printf("  %-20s %-10s %11s %11s %11s %8s %8s %6s\n", "", "over", "mean", "p50", "p99",
              "to bare", "to ours", "CPU");
  for (const RaceRow& row : rows) {
    std::printf("  %-20s %-10s %8.2f us %8.2f us %8.2f us %7.2fx %7.2fx %5.0f%%\n",
                row.peer.c_str(), row.transport.c_str(), row.mean_ns / 1e3, row.p50_ns / 1e3,
                row.p99_ns / 1e3, row.mean_ns / rows[0].mean_ns, row.mean_ns / ours,
                row.cpu_percent);
  }
}

void print_table(const RaceOptions& options, const std::vector<StreamRow>& rows) {
  std::printf("asleep when there is nothing to do, %zu bytes, one way\n", options.bytes);
  std::printf("  %-20s %-10s %13s %8s\n", "", "over", "messages/s", "to ours");
  for (const StreamRow& row : rows) {
    std::printf("  %-20s %-10s %11.3f M %7.3fx\n", row.peer.c_str(), row.transport.c_str(),
                row.messages_per_s / 1e6, row.messages_per_s / rows[0].messages_per_s);
  }
}

json to_json(Waiting waiting, const RaceOptions& options, const std::vector<RaceRow>& rows) {
  auto array = json::array();
  for (const RaceRow& row : rows) {
    if (row.peer == "bare") continue;
    array.push_back({{"bench", "latency"},
                     {"transport", row.transport},
                     {"mode", mode_of(waiting)},
                     {"size", options.bytes},
                     {"n", row.n},
                     {"p50_ns", row.p50_ns},
                     {"p99_ns", row.p99_ns},
                     {"p999_ns", row.p999_ns},
                     {"max_ns", row.max_ns},
                     {"mean_ns", row.mean_ns},
                     {"cpu_percent", row.cpu_percent},
                     {"zero_copy", false},
                     {"baseline", rows[0].transport},
                     {"baseline_mean_ns", rows[0].mean_ns},
                     {"ratio", row.mean_ns / rows[0].mean_ns},
                     {"peer", row.peer}});
  }
  return array;
}

json to_json(const RaceOptions& options, const std::vector<StreamRow>& rows) {
  auto array = json::array();
  for (const StreamRow& row : rows) {
    array.push_back({{"bench", "throughput"},
                     {"transport", row.transport},
                     {"mode", mode_of(Waiting::blocking)},
                     {"size", options.bytes},
                     {"batch", false},
                     {"producers", 1},
                     {"consumers", 1},
                     {"messages_per_s", row.messages_per_s},
                     {"bytes_per_s", row.messages_per_s * static_cast<double>(options.bytes)},
                     {"baseline", "lane"},
                     {"baseline_messages_per_s", rows[0].messages_per_s},
                     {"ratio", row.messages_per_s / rows[0].messages_per_s},
                     {"peer", row.peer}});
  }
  return array;
}

}  // namespace bulkhead::bench::others
