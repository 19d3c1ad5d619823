// The sink: receives what a ticker sends and says what came, what came twice, and what is missing.
#include <chrono>
#include <cstdio>

#include "workers/builtin/builtin.hpp"
#include "workers/builtin/settings.hpp"
#include "workers/builtin/ticks.hpp"

namespace bulkhead::workers {
namespace {

void report(Worker& self, const TickCount& count) {
  const auto text = count.summary();
  self.status(text);
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}

void report_gap(TickCount::Gap gap) {
  std::printf("gap: messages %llu to %llu are missing\n", static_cast<unsigned long long>(gap.from),
              static_cast<unsigned long long>(gap.to));
  std::fflush(stdout);
}

}  // namespace

Result<void> run_sink(Worker& self) {
  std::string link = "ticks";
  std::chrono::nanoseconds report_every = std::chrono::seconds(1);
  auto read =
      Settings(self.config()).text("link", link).duration("report_every", report_every).finish();
  if (!read) return read;
  auto ticks = self.channel(link);
  if (!ticks) return ticks.error();
  self.ready();

  TickCount count(ticks->resume_point());
  auto report_at = Deadline::in(report_every).when();
  for (;;) {
    const auto message = ticks->receive(self.until_stop(report_at));
    if (message) {
      const auto gap = count.take(message->bytes(), message->epoch(), message->redelivered());
      if (gap) report_gap(*gap);
      if (count.delivered() % 256 != 0) continue;  // reading the clock costs more than a message
    } else if (!message.error().is(Errc::timed_out)) {
      report(self, count);
      return self.ended(message.error());
    }
    if (Deadline::at(report_at).expired()) {
      report(self, count);
      report_at = Deadline::in(report_every).when();
    }
  }
}

}  // namespace bulkhead::workers
