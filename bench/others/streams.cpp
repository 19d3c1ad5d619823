#include "bench/others/streams.hpp"

#include <algorithm>

#include "bench/affinity.hpp"
#include "bench/entrant.hpp"
#include "bench/machine.hpp"
#include "bench/stream.hpp"

namespace bulkhead::bench::others {
namespace {

constexpr std::uint64_t messages_min = 64;

struct Course {
  const char* peer;
  const char* transport;
  StartedStream stream;
  std::uint64_t count = 2000;  // of the first round; then as many as fit into the time of one
  std::vector<double> rates = {};
};

std::vector<Course> start_all(Processors processors, std::size_t bytes) {
  std::vector<Course> all;
  for (const Transport transport : {Transport::shm, Transport::unix_socket}) {
    all.push_back({"bulkhead", to_string(transport).data(),
                   start_channel_stream(transport, WaitMode::block, bytes, processors)});
  }
  all.push_back({"posix mq", "mq", stream_posix_queue(processors, bytes)});
  all.push_back({"boost message_queue", "shm", stream_interprocess_queue(processors, bytes)});
  all.push_back({"zeromq", "unix", stream_zeromq(processors, bytes)});
  all.push_back({"nng", "unix", stream_nng(processors, bytes)});
  all.push_back({"iceoryx", "shm", stream_iceoryx(processors, bytes)});
  return all;
}

Result<void> run_round(Course& course, const Effort& effort) {
  const auto rate = (*course.stream)->run(course.count);
  if (!rate) return rate.error();
  course.rates.push_back(*rate);
  const auto fitting = static_cast<std::uint64_t>(effort.round_ns / 1e9 * *rate);
  course.count = std::max(fitting, messages_min);
  return {};
}

}  // namespace

Result<std::vector<StreamRow>> run_streams(const RaceOptions& options) {
  const Affinity affinity;
  const auto processors = affinity.first_two();
  if (!processors) return processors.error();
  if (auto pinned = pin_to(processors->ping); !pinned) return pinned.error();
  auto courses = start_all(*processors, options.bytes);
  for (const Course& course : courses) {
    if (!course.stream) return course.stream.error();
  }
  for (int round = -trial_rounds; round < race_rounds; ++round) {
    for (Course& course : courses) {
      if (auto ran = run_round(course, options.quick ? quick : thorough); !ran) return ran.error();
      if (round < 0) course.rates.clear();
    }
  }
  std::vector<StreamRow> rows;
  rows.reserve(courses.size());
  for (Course& course : courses) {
    rows.push_back({course.peer, course.transport, percentile(course.rates, 0.5)});
  }
  return rows;
}

}  // namespace bulkhead::bench::others
