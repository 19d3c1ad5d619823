// One mechanism that carries messages there and back between two pinned processes, ours or bare, all
// measured by the same loops. Used by latency.cpp. A mechanism is a class with
//   bool ping();                the message there, and the answer back
//   bool pong();                in the other process: one message, and the answer
//   bool serve(uint64_t count); instead, of a library that does the answering: true after so many answers more
//   void enter_echo();          in the other process, once: lets go of what only the first one uses
//   void enter_ping();          the same in this process
//   std::uint64_t syscalls();   made so far, where the mechanism counts them
#pragma once

#include <bulkhead/error.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/clock.hpp"
#include "bench/echo_process.hpp"
#include "bench/histogram.hpp"

namespace bulkhead::bench {

struct Processors {
  int ping = 0, echo = 1;
};

struct Round {
  double mean_ns = 0;      // of one round trip, without a look at the clock in between
  double cpu_percent = 0;  // of both processes together: 200 is two busy processors
  double syscalls_per_message = 0;
};

class Contestant {
 public:
  virtual ~Contestant() = default;
  virtual Result<Round> run(std::uint64_t count) = 0;
  // The same with a look at the clock around each round trip.
  virtual Result<void> sample(std::uint64_t count, Histogram& histogram) = 0;
};

// After a pause caches and sleep states are cold, which is not what a round is about.
constexpr std::uint64_t warm_up_for(std::uint64_t count) noexcept {
  return std::min<std::uint64_t>(count, 32);
}

template <class Mechanism>
class MeasuredContestant final : public Contestant {
 public:
  static Result<std::unique_ptr<Contestant>> start(std::unique_ptr<Mechanism> mechanism, int cpu) {
    Mechanism& echoed = *mechanism;
    auto process =
        EchoProcess::start(cpu, {[&echoed] { echoed.enter_echo(); },
                                 [&echoed](std::uint64_t count) { return echo(echoed, count); },
                                 [&echoed] { return echoed.syscalls(); }});
    if (!process) return process.error();
    mechanism->enter_ping();
    return std::unique_ptr<Contestant>(
        new MeasuredContestant(std::move(mechanism), std::move(*process)));
  }

  Result<Round> run(std::uint64_t count) override {
    if (auto begun = begin(count); !begun) return begun.error();
    const std::uint64_t calls_before = mechanism_->syscalls();
    const Busyness busyness;
    const std::uint64_t start = base::monotonic_ns();
    for (std::uint64_t i = 0; i < count; ++i) {
      if (!mechanism_->ping()) return broken();
    }
    const auto span = static_cast<double>(base::monotonic_ns() - start);
    const double busy = busyness.share();
    const std::uint64_t calls = mechanism_->syscalls() - calls_before;
    const auto report = echo_->finish();
    if (!report) return report.error();
    const auto rounds = static_cast<double>(count), messages = 2 * rounds;
    return Round{span / rounds, 100 * (busy + report->busy),
                 static_cast<double>(calls + report->syscalls) / messages};
  }

  Result<void> sample(std::uint64_t count, Histogram& histogram) override {
    if (auto begun = begin(count); !begun) return begun.error();
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t start = base::monotonic_ns();
      if (!mechanism_->ping()) return broken();
      histogram.add(base::monotonic_ns() - start);
    }
    if (const auto report = echo_->finish(); !report) return report.error();
    return {};
  }

 private:
  MeasuredContestant(std::unique_ptr<Mechanism> mechanism, std::unique_ptr<EchoProcess> echo)
      : mechanism_(std::move(mechanism)), echo_(std::move(echo)) {}

  static bool echo(Mechanism& echoed, std::uint64_t count) {
    if constexpr (requires { echoed.serve(count); }) {
      return echoed.serve(count);
    } else {
      while (count > 0 && echoed.pong()) --count;
      return count == 0;
    }
  }
  Result<void> begin(std::uint64_t count) {
    const std::uint64_t warm_up = warm_up_for(count);
    if (auto begun = echo_->begin(count + warm_up); !begun) return begun;
    for (std::uint64_t i = 0; i < warm_up; ++i) {
      if (!mechanism_->ping()) return broken();
    }
    return {};
  }
  static Error broken() { return make_error(Errc::peer_died, "a round trip of the benchmark"); }

  std::unique_ptr<Mechanism> mechanism_;
  std::unique_ptr<EchoProcess> echo_;  // goes first
};

}  // namespace bulkhead::bench
