// An event of the supervisor as a line for a person:
//   12:03:07.412  echo.0  ready, pid 4711, 1.9 ms after its death by SIGKILL
// Used by `events` and by the viewer under `run`. Knows nothing of where events come from.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "cli/terminal.hpp"

namespace bulkhead::cli {

// "SIGKILL", "exit code 3", "SIGKILL (out of memory)"; of an event's "exit" or a status's "last_exit".
std::string exit_text(const nlohmann::json& exit);

// Remembers deaths, to say at the next ready how long the recovery took.
class EventText {
 public:
  // `realtime_minus_monotonic_ns` turns the events' clock into the one on the wall.
  EventText(std::int64_t realtime_minus_monotonic_ns, bool colours)
      : offset_ns_(realtime_minus_monotonic_ns), colours_(colours) {}

  // Lines up names up to this width.
  void expect_name(const std::string& name) { width_ = std::max(width_, name.size()); }

  std::string line(const nlohmann::json& event);  // without the newline

 private:
  struct Death {
    std::int64_t t_ns;
    std::string what;  // "its death by SIGKILL", "its exit code 3"
  };
  struct Words {
    std::string text;
    Colour colour = Colour::plain;
  };
  Words words_for(const nlohmann::json& event);
  Words ready(const nlohmann::json& event);
  Words exited(const nlohmann::json& event);

  std::int64_t offset_ns_;
  bool colours_;
  std::size_t width_ = 0;
  std::map<std::string, Death> deaths_;
  std::set<std::string> stopping_;  // the end that follows was asked for
};

// "12:03:07.412", local time.
std::string wall_clock(std::int64_t realtime_ns);

// CLOCK_REALTIME - CLOCK_MONOTONIC, now.
std::int64_t realtime_minus_monotonic_ns();

}  // namespace bulkhead::cli
