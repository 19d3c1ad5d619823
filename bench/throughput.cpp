#include "bench/throughput.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/affinity.hpp"
#include "bench/echo_process.hpp"
#include "bench/machine.hpp"
#include "bench/stream.hpp"

namespace bulkhead::bench {
namespace {

constexpr std::size_t all_sizes[] = {8, 56, 1024, 16384};
constexpr std::size_t fan_size = 56;  // several ends to one are measured with messages of one line
constexpr int rounds = 15;

// Of one size: what is measured, and what each is held against.
struct Course {
  ThroughputRow row;
  StartedStream (*start)(std::size_t, Processors);
  std::vector<double> rates = {};
};

std::vector<Course> courses_for(std::size_t size) {
  const auto fan = static_cast<unsigned>(fan_ends);
  std::vector<Course> courses{{{.size = size, .baseline = ""}, &start_ring},
                              {{.size = size}, &start_lane},
                              {{.size = size, .batch = true}, &start_batches}};
  if (size != fan_size) return courses;
  courses.push_back({{.size = size, .consumers = fan, .baseline = "lane"}, &start_fan_out});
  courses.push_back({{.size = size, .producers = fan, .baseline = "lane"}, &start_fan_in});
  return courses;
}

// All courses in turn, round by round; the first round warms up.
Result<std::vector<ThroughputRow>> measure(std::size_t size, Processors processors, bool quick) {
  auto courses = courses_for(size);
  std::vector<std::unique_ptr<Stream>> streams;
  for (const auto& course : courses) {
    auto stream = course.start(size, processors);
    if (!stream) return stream.error();
    streams.push_back(std::move(*stream));
  }
  // As many bytes a round whatever the size, within reason.
  const std::uint64_t budget = quick ? 8'000'000 : 80'000'000;
  const std::uint64_t count = std::clamp<std::uint64_t>(budget / (size + 64), 2000, 1'000'000);
  for (int round = -1; round < rounds; ++round) {
    for (std::size_t i = 0; i < courses.size(); ++i) {
      const auto rate = streams[i]->run(count);
      if (!rate) return rate.error();
      if (round >= 0) courses[i].rates.push_back(*rate);
    }
  }
  const double ring = percentile(courses[0].rates, 0.5), lane = percentile(courses[1].rates, 0.5);
  std::vector<ThroughputRow> rows;
  for (std::size_t i = 1; i < courses.size(); ++i) {
    ThroughputRow row = courses[i].row;
    row.messages_per_s = percentile(courses[i].rates, 0.5);
    row.bytes_per_s = row.messages_per_s * static_cast<double>(size);
    row.baseline_messages_per_s = row.baseline == "lane" ? lane : ring;
    row.ratio = row.messages_per_s / row.baseline_messages_per_s;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

Result<std::vector<ThroughputRow>> run_throughput(const ThroughputOptions& options) {
  const Affinity affinity;
  const auto processors = affinity.first_two();
  if (!processors) return processors.error();
  if (auto pinned = pin_to(processors->ping); !pinned) return pinned.error();
  const auto sizes = options.sizes.empty() ? std::vector(std::begin(all_sizes), std::end(all_sizes))
                                           : options.sizes;
  std::vector<ThroughputRow> rows;
  for (const std::size_t size : sizes) {
    const auto of_size = measure(size, *processors, options.quick);
    if (!of_size) return of_size.error();
    rows.insert(rows.end(), of_size->begin(), of_size->end());
  }
  return rows;
}

namespace {

bool is_fan(const ThroughputRow& row) noexcept { return row.producers + row.consumers > 2; }

}  // namespace

nlohmann::json to_json(const std::vector<ThroughputRow>& rows) {
  auto array = nlohmann::json::array();
  for (const auto& row : rows) {
    array.push_back({{"bench", "throughput"},
                     {"transport", "shm"},
                     {"mode", is_fan(row) ? "adaptive" : "spin"},
                     {"size", row.size},
                     {"batch", row.batch},
                     {"producers", row.producers},
                     {"consumers", row.consumers},
                     {"messages_per_s", row.messages_per_s},
                     {"bytes_per_s", row.bytes_per_s},
                     {"baseline", row.baseline},
                     {"baseline_messages_per_s", row.baseline_messages_per_s},
                     {"ratio", row.ratio},
                     {"peer", "bulkhead"}});
  }
  return array;
}

void print_table(const std::vector<ThroughputRow>& rows) {
  std::printf("%-9s %-9s %7s %-12s %14s %10s %6s  %s\n", "transport", "mode", "bytes", "ends",
              "deliveries/s", "bytes/s", "ratio", "to the");
  for (const auto& row : rows) {
    const std::string ends = std::to_string(row.producers) + " to " +
                             std::to_string(row.consumers) + (row.batch ? ", batch" : "");
    std::printf("%-9s %-9s %7zu %-12s %12.2f M %7.2f GB %6.2f  %s, %.2f M\n", "shm",
                is_fan(row) ? "adaptive" : "spin", row.size, ends.c_str(), row.messages_per_s / 1e6,
                row.bytes_per_s / 1e9, row.ratio, row.baseline.c_str(),
                row.baseline_messages_per_s / 1e6);
  }
  std::fflush(stdout);
}

}  // namespace bulkhead::bench
