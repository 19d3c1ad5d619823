#include "cli/chaos_watch.hpp"

#include <algorithm>
#include <filesystem>
#include <thread>
#include <utility>

#include "base/clock.hpp"
#include "base/process_tree.hpp"
#include "cli/system.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds between_looks{50};
constexpr std::chrono::seconds leftover_patience{5};  // a killed process may take its time to end
constexpr std::size_t violations_max = 50;
// Segments of the dead that wait for a reader, and connections to come: few, however many faults there were.
constexpr std::size_t descriptors_spare = 16;
// A brain that took over holds what it inherited beside what its workers gave it again: for each pair of ends the
// segments of both, of which one is a predecessor's, and for each instance the page of its beat.
constexpr std::size_t inherited_per_pair = 3, inherited_per_instance = 1;

std::size_t count_descriptors(int pid) {
  std::error_code error;
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid) + "/fd", error);
  return error ? 0 : static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::string name_of(const json& link) {
  const json& to = link["to"];
  return link["name"].get<std::string>() + " from " + link["from"].get<std::string>() + " to " +
         (to.is_string() ? to.get<std::string>() : to.dump());
}

bool is_up(const json& worker) { return worker["state"] == "ready" || worker["state"] == "done"; }

// It is kept from running too often, as its config wants it.
bool is_put_off(const json& worker) {
  return worker["state"] == "half_open" || worker["state"] == "backoff";
}

}  // namespace

Result<void> ChaosWatch::begin() {
  auto status = system_.request("status", {{"all", true}}, Deadline::in(answer_timeout));
  if (!status) return status.error();
  status_ = std::move(*status);
  for (const auto& worker : status_["workers"]) {
    if (is_up(worker)) expected_[worker["name"]] = worker["state"];
  }
  for (const auto& link : status_["links"]) {
    links_[name_of(link)] = {link["sent"], link["acknowledged"]};
    pairs_ += link["to"].is_array() ? link["to"].size() : 1;
  }
  const auto& supervisor = status_["supervisor"];
  descriptors_ = {{"keeper", count_descriptors(supervisor["keeper_pid"])},
                  {"brain", count_descriptors(supervisor["brain_pid"])}};
  for (const auto& worker : status_["workers"]) {
    if (is_up(worker) && worker["pid"].is_number()) {
      descriptors_[worker["name"]] = count_descriptors(worker["pid"]);
    }
  }
  const auto page =
      system_.request("events", {{"since", ~std::uint64_t{0} >> 1}}, Deadline::in(answer_timeout));
  if (!page) return page.error();
  next_event_ = page->at("next");
  return {};
}

void ChaosWatch::look() {
  refresh();
  read_events();
}

bool ChaosWatch::refresh() {
  const auto asked = base::monotonic_ns();
  auto status = system_.request("status", {{"all", true}}, Deadline::in(answer_timeout));
  if (!status) {
    complain("status was not answered: " + status.error().to_string());
    return false;
  }
  answers_us_.push_back(static_cast<double>(base::monotonic_ns() - asked) / 1e3);
  status_ = std::move(*status);
  return true;
}

// Numbers without a hole, but for what was overwritten before it could be read.
void ChaosWatch::read_events() {
  for (;;) {
    const auto page =
        system_.request("events", {{"since", next_event_}}, Deadline::in(answer_timeout));
    if (!page) return complain("events were not answered: " + page.error().to_string());
    std::uint64_t expected = next_event_ + page->value("gap", std::uint64_t{0});
    for (const auto& event : page->at("events")) {
      const std::uint64_t number = event["seq"];
      if (number != expected) {
        complain("event " + std::to_string(number) + " came where " + std::to_string(expected) +
                 " was to come");
      }
      expected = number + 1;
    }
    next_event_ = std::max(next_event_, page->at("next").get<std::uint64_t>());
    if (page->at("complete") == true) return;
  }
}

// The supervisor may not know yet of a death that we have just caused.
bool ChaosWatch::has_come_back(const json& worker) const {
  const bool is_dead = worker["pid"].is_number() && killed_.contains(worker["pid"].get<int>());
  return !is_dead && (is_up(worker) || is_put_off(worker));
}

ChaosWatch::States ChaosWatch::away_among(const States& names) const {
  States away;
  for (const auto& worker : status_["workers"]) {
    const std::string name = worker["name"];
    if (names.contains(name) && !has_come_back(worker)) away[name] = worker["state"];
  }
  return away;
}

// Whoever was seen up once has come back, whatever it does by itself afterwards.
void ChaosWatch::conclude(std::chrono::nanoseconds patience) {
  const auto deadline = Deadline::in(patience);
  States away = expected_;
  for (;;) {
    if (!refresh()) return;
    away = away_among(away);
    const bool may_come = std::any_of(away.begin(), away.end(), [](const auto& one) {
      return one.second != "failed" && one.second != "quarantined";
    });
    if (!may_come || deadline.expired()) break;
    std::this_thread::sleep_for(between_looks);
  }
  read_events();
  for (const auto& [name, state] : away) complain(name + " (" + state + ") did not come back");
  check_links();
  check_leftovers();
  check_descriptors();
  check_leaks();
}

// Counts are of the link and not of a process: they only grow, over any number of deaths.
void ChaosWatch::check_links() {
  for (const auto& link : status_["links"]) {
    const std::string name = name_of(link);
    const auto before = links_.find(name);
    const Link now{link["sent"], link["acknowledged"]};
    if (now.acknowledged > now.sent) {
      complain("link " + name + ": " + std::to_string(now.acknowledged) + " acknowledged of " +
               std::to_string(now.sent) + " sent");
    }
    if (before == links_.end()) continue;
    if (now.sent < before->second.sent || now.acknowledged < before->second.acknowledged) {
      complain("link " + name + " has forgotten what was sent or acknowledged");
    }
    if (link["type"] == "channel" && link["dropped"] != 0) {
      complain("link " + name + " has lost " + link["dropped"].dump() + " messages");
    }
  }
}

// Everything of the system is the keeper's child, also what was left by a parent that died. Who is not in the
// status may only be younger or older than it; what is left over stays so.
void ChaosWatch::check_leftovers() {
  auto strangers = find_strangers();
  for (const auto deadline = Deadline::in(leftover_patience);
       !strangers.empty() && !deadline.expired();) {
    std::this_thread::sleep_for(between_looks);
    if (!refresh()) return;
    std::set<int> still;
    for (const int pid : find_strangers()) {
      if (strangers.contains(pid)) still.insert(pid);
    }
    strangers = std::move(still);
  }
  for (const int pid : strangers) {
    complain("process " + std::to_string(pid) + " is left of a worker that is gone");
  }
}

// The first process of a contained worker's pid namespace. A spare that was promoted has another name than its
// environment says, so it is told by the namespace.
bool ChaosWatch::contains_a_living_worker(int pid) const {
  const auto namespace_of = [](const std::string& process) {
    std::error_code gone;
    return std::filesystem::read_symlink("/proc/" + process + "/ns/pid", gone);
  };
  const auto its = namespace_of(std::to_string(pid));
  if (its.empty() || its == namespace_of("self")) return false;
  for (const char* const part : {"workers", "spares"}) {
    for (const auto& process : status_[part]) {
      if (process["pid"].is_number() && namespace_of(process["pid"].dump()) == its) return true;
    }
  }
  return false;
}

std::set<int> ChaosWatch::find_strangers() const {
  std::set<int> known{status_["supervisor"]["brain_pid"]};
  for (const char* const part : {"workers", "spares"}) {
    for (const auto& process : status_[part]) {
      if (process["pid"].is_number()) known.insert(process["pid"].get<int>());
    }
  }
  const int keeper = status_["supervisor"]["keeper_pid"];
  const auto children = base::children_of(keeper);
  if (!children) return {};
  const auto living = base::find_processes({.cookie = "", .group = 0, .root = keeper});
  std::set<int> strangers;
  for (const int child : *children) {
    const bool lives = std::find(living.begin(), living.end(), child) != living.end();
    if (lives && !known.contains(child) && !contains_a_living_worker(child))
      strangers.insert(child);
  }
  return strangers;
}

void ChaosWatch::check_descriptors() {
  const std::size_t inherited =
      inherited_per_pair * pairs_ +
      inherited_per_instance * (status_["workers"].size() + status_["spares"].size());
  for (const std::string who : {"keeper", "brain"}) {
    const std::size_t before = descriptors_[who];
    const std::size_t now = count_descriptors(status_["supervisor"][who + "_pid"]);
    if (now > before + descriptors_spare + (who == "brain" ? inherited : links_.size())) {
      complain("the " + who + " has " + std::to_string(now) + " descriptors, " +
               std::to_string(before) + " before");
    }
  }
}

void ChaosWatch::check_leaks() {
  for (const auto& worker : status_["workers"]) {
    const std::string name = worker["name"];
    if (!leaked_.contains(name) || !worker["pid"].is_number()) continue;
    const std::size_t now = count_descriptors(worker["pid"]);
    if (now > descriptors_[name] + descriptors_spare) {
      complain(name + " has " + std::to_string(now) +
               " descriptors after it was killed for its leak, " +
               std::to_string(descriptors_[name]) + " before");
    }
  }
}

void ChaosWatch::complain(std::string what) {
  if (violations_.size() < violations_max) violations_.push_back(std::move(what));
}

}  // namespace bulkhead::cli
