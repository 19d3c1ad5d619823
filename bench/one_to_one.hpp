// A stream between two processes, each on a processor of its own. Used by stream_lane.cpp and others/.
//
// A course is what the two share: put() says how many messages it sent, 0 when it could not; get()
// receives one; enter_source and enter_drain are a contestant's enter_*.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/clock.hpp"
#include "bench/echo_process.hpp"
#include "bench/stream.hpp"

namespace bulkhead::bench {

template <class Course>
class OneToOne final : public Stream {
 public:
  static StartedStream start(std::unique_ptr<Course> course, int cpu) {
    Course& shared = *course;
    auto drain = EchoProcess::start(cpu, {[&shared] { shared.enter_drain(); },
                                          [&shared](std::uint64_t count) {
                                            while (count > 0 && shared.get()) --count;
                                            return count == 0;
                                          },
                                          [] { return std::uint64_t{0}; }});
    if (!drain) return drain.error();
    course->enter_source();
    return std::unique_ptr<Stream>(new OneToOne(std::move(course), std::move(*drain)));
  }

  Result<double> run(std::uint64_t count) override {
    const std::uint64_t start = base::monotonic_ns();
    if (auto begun = drain_->begin(count); !begun) return begun.error();
    for (std::uint64_t left = count; left > 0;) {
      const std::size_t sent = course_->put(left);
      if (sent == 0) return make_error(Errc::peer_died, "a stream of the benchmark");
      left -= sent;
    }
    if (const auto drained = drain_->finish(); !drained) return drained.error();
    return static_cast<double>(count) * 1e9 / static_cast<double>(base::monotonic_ns() - start);
  }

 private:
  OneToOne(std::unique_ptr<Course> course, std::unique_ptr<EchoProcess> drain)
      : course_(std::move(course)), drain_(std::move(drain)) {}

  std::unique_ptr<Course> course_;
  std::unique_ptr<EchoProcess> drain_;  // goes first
};

}  // namespace bulkhead::bench
