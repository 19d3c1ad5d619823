// What the web process counts out of events and incidents, so that it need not be asked for again: how many of
// what kind, and how long recoveries took. Pure; used by WebFeed, shown by web_metrics.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace bulkhead::supervisor {

// How long it took from a death to a successor that is ready. Counts are per bucket, not cumulative.
struct Recoveries {
  static constexpr std::array<double, 15> bounds_s{
      0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
  std::array<std::uint64_t, bounds_s.size()> counts{};
  std::uint64_t count = 0;  // also those above the last bound
  double sum_s = 0;

  void add(double seconds);
};

struct WebTally {
  std::uint64_t next_event = 1, next_incident = 1;  // ask for these next
  std::uint64_t events_missed = 0;                  // overwritten before they were read
  std::map<std::string, std::uint64_t> events;      // by type
  std::map<std::string, std::uint64_t> incidents;   // by cause
  std::map<std::string, Recoveries> recoveries;     // by cause

  // Answers to `events` and `incidents`. True: there is more to ask for now.
  bool add_events(const nlohmann::json& answer);
  bool add_incidents(const nlohmann::json& answer);
};

// The array of that name in an answer; an empty one where there is none. Borrowed from the answer.
const nlohmann::json& list_in(const nlohmann::json& answer, const char* key);

}  // namespace bulkhead::supervisor
