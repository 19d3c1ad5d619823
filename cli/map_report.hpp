// What `map` says of its inputs: lines for a person, JSON for programs, a line of progress on a terminal. Used by
// map.cpp.
#pragma once

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pool/command_jobs.hpp"

namespace bulkhead::cli {

class MapReport : public pool::JobsObserver {
 public:
  struct Wanted {
    std::FILE* file = nullptr;  // of --report; borrowed
    bool list = false;          // of the quarantined in the summary
    std::chrono::nanoseconds timeout{0};
  };
  explicit MapReport(const Wanted& wanted) : wanted_(wanted) {}

  std::string done(const pool::JobReport&) override;
  std::string progress(const pool::JobsProgress&) override;
  std::string progress_erased() override { return "\r\033[K"; }

  nlohmann::json summary(const pool::JobsSummary&) const;
  // "3" (exit code 1), "7" (SIGSEGV) and 5 more
  std::string quarantined_text() const;
  std::chrono::nanoseconds elapsed() const { return std::chrono::steady_clock::now() - began_; }
  std::uint64_t interrupted() const { return interrupted_; }

 private:
  std::string why(const pool::JobReport&) const;

  Wanted wanted_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  nlohmann::json quarantined_ = nlohmann::json::array();
  std::string named_;  // the first of them
  std::uint64_t quarantined_count_ = 0, interrupted_ = 0;
};

// One line. Bytes that are no UTF-8 are replaced; the row has them as input_hex, too.
std::string json_line(const nlohmann::json&);

}  // namespace bulkhead::cli
