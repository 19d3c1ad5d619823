#include "cli/event_text.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "base/clock.hpp"
#include "cli/fields.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;

std::string pid_text(const json& event) {
  return "pid " + std::to_string(integer_in(event, "pid"));
}

// "text" of an event: why, in the supervisor's words.
std::string because(const json& event) {
  const std::string text = string_in(event, "text");
  return text.empty() ? "" : ": " + text;
}

}  // namespace

std::string wall_clock(std::int64_t realtime_ns) {
  const std::time_t seconds = realtime_ns / 1'000'000'000;
  std::tm local{};
  ::localtime_r(&seconds, &local);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%02d:%02d:%02d.%03d", local.tm_hour, local.tm_min,
                local.tm_sec, static_cast<int>(realtime_ns % 1'000'000'000 / 1'000'000));
  return text.data();
}

std::string exit_text(const json& exit) {
  if (!exit.is_object()) return "";
  const std::string kind = string_in(exit, "kind");
  const std::string signal = string_in(exit, "signal");
  if (kind == "exit") return "exit code " + std::to_string(integer_in(exit, "code"));
  if (kind == "oom") return signal + " (out of memory)";
  if (kind == "watchdog") return signal + " (watchdog)";
  if (kind == "lease_timeout") return signal + " (lease timeout)";
  if (kind == "exec_failed") return "failure to start (" + string_in(exit, "error") + ")";
  return signal;
}

std::string EventText::line(const json& event) {
  const std::string name = printable(string_in(event, "name"));
  expect_name(name);
  const auto [words, colour] = words_for(event);
  const std::string text = printable(words);
  return painted(wall_clock(integer_in(event, "t_ns") + offset_ns_), Colour::dim, colours_) + "  " +
         name + std::string(width_ - name.size(), ' ') + "  " + painted(text, colour, colours_);
}

EventText::Words EventText::words_for(const json& event) {
  const std::string type = string_in(event, "type");
  if (type == "worker.starting") return {"starting", Colour::dim};
  if (type == "worker.promoted") return {"promoted" + because(event), Colour::dim};
  if (type == "worker.ready") return ready(event);
  if (type == "worker.exited") return exited(event);
  if (type == "spare.ready") return {"waits to step in, " + pid_text(event), Colour::dim};
  if (type == "spare.exited") {
    return {"ended: " + exit_text(event.value("exit", json())), Colour::dim};
  }
  if (type == "worker.backoff" || type == "spare.backoff") {
    const auto wait = integer_in(event, "until_ns") - integer_in(event, "t_ns");
    return {
        "starts again in " + span_text(std::chrono::nanoseconds(std::max<std::int64_t>(wait, 0))),
        Colour::yellow};
  }
  if (type == "worker.stopping") {
    stopping_.insert(string_in(event, "name"));
    return {"stopping, " + pid_text(event) + because(event), Colour::dim};
  }
  if (type == "worker.stopped") return {"stopped", Colour::dim};
  if (type == "worker.failed") {
    const std::string cause = exit_text(event.value("exit", json()));
    return {"failed" + (cause.empty() ? "" : " after " + cause) + because(event), Colour::red};
  }
  if (type == "worker.quarantined") return {"quarantined" + because(event), Colour::red};
  if (type == "task.quarantined") {
    return {"task " + std::to_string(integer_in(event, "task")) + " of " +
                string_in(event, "link") + " given up after " +
                std::to_string(integer_in(event, "attempts")) + " attempts",
            Colour::red};
  }
  if (type == "task.requeued") {
    return {"task " + std::to_string(integer_in(event, "task")) + " of " +
                string_in(event, "link") + " requeued",
            Colour::yellow};
  }
  if (type == "task.dropped") {
    return {"dead letter " + std::to_string(integer_in(event, "task")) + " of " +
                string_in(event, "link") + " dropped for want of room, " +
                std::to_string(integer_in(event, "dropped")) + " so far",
            Colour::red};
  }
  if (type == "config.reloaded") return {"in force" + because(event), Colour::green};
  if (type == "incident.closed") {
    const auto took = std::chrono::microseconds(integer_in(event, "ready_us"));
    return {"incident " + std::to_string(integer_in(event, "incident")) + " (" +
                string_in(event, "cause") + ") is over, after " + span_text(took),
            Colour::dim};
  }
  if (type == "brain.recovered") {
    return {"supervisor recovered, " + pid_text(event) + ", in " +
                span_text(std::chrono::microseconds(integer_in(event, "took_us"))),
            Colour::yellow};
  }
  return {type + because(event), Colour::plain};
}

EventText::Words EventText::ready(const json& event) {
  std::string text = "ready, " + pid_text(event);
  const auto death = deaths_.find(string_in(event, "name"));
  if (death != deaths_.end()) {
    const std::chrono::nanoseconds took(integer_in(event, "t_ns") - death->second.t_ns);
    text += ", " + span_text(took) + " after " + death->second.what;
    deaths_.erase(death);
  }
  return {text, Colour::green};
}

EventText::Words EventText::exited(const json& event) {
  const json exit = event.value("exit", json());
  const std::string name = string_in(event, "name");
  const std::string cause = exit_text(exit);
  const std::string details = pid_text(event) + ", " + cause + because(event);
  if (stopping_.erase(name) > 0) return {"ended, " + details, Colour::dim};
  const bool exited = string_in(exit, "kind") == "exit";
  deaths_[name] = {integer_in(event, "t_ns"), (exited ? "its " : "its death by ") + cause};
  if (exited && integer_in(exit, "code") == 0) return {"ended, " + details};
  return {"died, " + details, Colour::red};
}

std::int64_t realtime_minus_monotonic_ns() {
  timespec wall{};
  ::clock_gettime(CLOCK_REALTIME, &wall);
  return wall.tv_sec * std::int64_t{1'000'000'000} + wall.tv_nsec -
         static_cast<std::int64_t>(base::monotonic_ns());
}

}  // namespace bulkhead::cli
