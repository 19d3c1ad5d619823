// The sink: receives what a ticker sends and says what came, what came twice, and what is missing.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "workers/builtin/builtin.hpp"
#include "workers/builtin/settings.hpp"
#include "workers/builtin/tick_link.hpp"
#include "workers/builtin/ticks.hpp"

namespace bulkhead::workers {
namespace {

constexpr std::chrono::seconds status_period{1};

void print(const TickCount& count) {
  std::printf("%s\n", count.summary().c_str());
  std::fflush(stdout);
}

void report_gap(TickCount::Gap gap) {
  std::printf("gap: messages %llu to %llu are missing\n", static_cast<unsigned long long>(gap.from),
              static_cast<unsigned long long>(gap.to));
  std::fflush(stdout);
}

Result<void> finish(Worker& self, const TickCount& count, const Error& why) {
  self.status(count.summary());
  print(count);
  return self.ended(why);
}

}  // namespace

Result<void> run_sink(Worker& self) {
  std::string link = "ticks";
  std::chrono::nanoseconds report_every = std::chrono::seconds(1);
  std::chrono::nanoseconds work{0};  // what each message costs us
  auto read = Settings(self.config())
                  .text("link", link)
                  .duration("report_every", report_every)
                  .duration("work", work)
                  .finish();
  if (!read) return read;
  auto ticks = TickLink::open(self, link);
  if (!ticks) return ticks.error();
  self.ready();

  // The status is for people who watch, so it does not wait for a report.
  const auto status_every = std::min<std::chrono::nanoseconds>(report_every, status_period);
  TickCount count(ticks->resume_point());
  auto look_at = Deadline::in(std::chrono::nanoseconds(0)).when();
  auto report_at = Deadline::in(report_every).when();
  for (;;) {
    const auto taken = ticks->receive(count, self.until_stop(look_at));
    if (taken) {
      if (*taken) report_gap(**taken);
      if (work.count() > 0) {
        if (auto done = self.pause(work); !done) return finish(self, count, done.error());
      } else if (count.delivered() % 256 != 0) {
        continue;  // reading the clock costs more than a message
      }
    } else if (!taken.error().is(Errc::timed_out)) {
      return finish(self, count, taken.error());
    }
    if (!Deadline::at(look_at).expired()) continue;
    look_at = Deadline::in(status_every).when();
    self.status(count.summary());
    if (!Deadline::at(report_at).expired()) continue;
    report_at = Deadline::in(report_every).when();
    print(count);
  }
}

}  // namespace bulkhead::workers
