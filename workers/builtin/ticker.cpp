// The ticker: sends numbered messages at a given rate, numbering on from where its predecessor stopped.
#include <chrono>
#include <vector>

#include "workers/builtin/builtin.hpp"
#include "workers/builtin/settings.hpp"
#include "workers/builtin/tick_link.hpp"
#include "workers/builtin/ticks.hpp"

namespace bulkhead::workers {
namespace {

using Clock = std::chrono::steady_clock;

// When the next message is due. A ticker that was held up does not catch up in one burst.
class Pace {
 public:
  explicit Pace(std::uint64_t rate_hz)
      : interval_(rate_hz == 0 ? 0
                               : std::chrono::nanoseconds(std::chrono::seconds(1)).count() /
                                     static_cast<std::int64_t>(rate_hz)) {}

  std::chrono::nanoseconds until_next() {
    if (interval_.count() == 0) return interval_;
    due_ += interval_;
    const auto now = Clock::now();
    if (due_ < now - catch_up_most) due_ = now;
    return due_ - now;
  }

 private:
  static constexpr std::chrono::milliseconds catch_up_most{100};
  std::chrono::nanoseconds interval_;
  Clock::time_point due_ = Clock::now();
};

}  // namespace

Result<void> run_ticker(Worker& self) {
  std::string link = "ticks";
  std::uint64_t rate_hz = 1000;
  std::uint64_t size = 56;
  std::chrono::nanoseconds report_every = std::chrono::seconds(1);
  auto read = Settings(self.config())
                  .text("link", link)
                  .count("rate_hz", rate_hz, 0, 1'000'000'000)
                  .count("size", size, tick_bytes_min, tick_bytes_max)
                  .duration("report_every", report_every)
                  .finish();
  if (!read) return read;
  auto ticks = TickLink::open(self, link);
  if (!ticks) return ticks.error();
  self.ready();

  std::vector<std::byte> message(size);
  Pace pace(rate_hz);
  auto report_at = Clock::now();
  for (std::uint64_t turn = 0;; ++turn) {
    const auto sequence = ticks->last_sent() + 1;
    write_tick(message, sequence);
    if (auto sent = ticks->send(message, self.until_stop()); !sent) return self.ended(sent.error());
    if (self.stopping()) return {};
    const auto wait = pace.until_next();
    if (wait.count() > 0) {
      if (auto paused = self.pause(wait); !paused) return self.ended(paused.error());
    }
    if (turn % 256 != 0 && wait.count() <= 0)
      continue;  // reading the clock costs more than a message
    if (const auto now = Clock::now(); now >= report_at) {
      report_at = now + report_every;
      self.status("sent=" + std::to_string(sequence));
    }
  }
}

}  // namespace bulkhead::workers
