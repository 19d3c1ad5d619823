// What must hold of a system whatever is done to it, looked at while it is done: by its status, its events and
// /proc. Used by `chaos`; makes no faults.
#pragma once

#include <bulkhead/connection.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace bulkhead::cli {

class ChaosWatch {
 public:
  explicit ChaosWatch(Connection& system) : system_(system) {}

  // What everything is held against; when all are ready. Errors: of requests.
  Result<void> begin();
  // Once in a while: status answers, no event is missing. A request without an answer is a violation.
  void look();
  // By us: who still shows this process is not back yet.
  void was_killed(int pid) { killed_.insert(pid); }
  // By us: its successor must have nothing of what this instance had too much.
  void has_leaked(const std::string& name) { leaked_.insert(name); }
  // After the last fault: everybody is back where a fault had taken it from, nothing is left over.
  void conclude(std::chrono::nanoseconds patience);

  const std::vector<std::string>& violations() const noexcept { return violations_; }
  const nlohmann::json& status() const noexcept { return status_; }  // as of the last look
  std::vector<double> answers_us() const { return answers_us_; }     // how long status took

 private:
  struct Link {
    std::uint64_t sent = 0, acknowledged = 0;
  };
  using States = std::map<std::string, std::string>;  // by instance
  using Links = std::map<std::string, Link>;

  bool refresh();
  void read_events();
  States away_among(const States& names) const;
  bool has_come_back(const nlohmann::json& worker) const;
  void check_links();
  void check_leftovers();
  std::set<int> find_strangers() const;
  bool contains_a_living_worker(int pid) const;
  void check_descriptors();
  void check_leaks();
  void complain(std::string what);

  Connection& system_;
  nlohmann::json status_;
  std::uint64_t next_event_ = 0;
  std::set<int> killed_;
  std::set<std::string> leaked_;  // instances
  States expected_;               // instances that were up at the beginning
  Links links_;
  std::size_t pairs_ = 0;
  std::map<std::string, std::size_t> descriptors_;  // of keeper and brain, and of each instance
  std::vector<double> answers_us_;
  std::vector<std::string> violations_;
};

}  // namespace bulkhead::cli
