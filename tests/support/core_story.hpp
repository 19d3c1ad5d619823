// Tells stories to the supervision core in virtual time and keeps what it answers as short lines
// ("spawn echo.0 1"), so that a test reads like the story. Used by the core's tests.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "supervisor/core.hpp"

namespace bulkhead::test {

using supervisor::Slot;

supervisor::WorkerConfig worker(std::string name, std::uint32_t instances = 1);
template <class... Line>
std::vector<std::string> lines(const Line&... line) {
  return {std::string(line)...};
}
std::string to_line(const supervisor::Plan&, const supervisor::Action&);

class CoreStory {
 public:
  explicit CoreStory(std::vector<supervisor::WorkerConfig>, std::uint32_t max_parallel_starts = 4);
  CoreStory(std::vector<supervisor::WorkerConfig>, std::vector<supervisor::GroupConfig>);

  // Each returns what is to be done, without the announcements.
  std::vector<std::string> tell(const supervisor::Event&);
  std::vector<std::string> begin() { return tell(supervisor::Tick{}); }
  std::vector<std::string> started(Slot);
  std::vector<std::string> became_ready(Slot);
  std::vector<std::string> exits(Slot, int code);
  std::vector<std::string> is_killed(Slot, int signal = 9);
  std::vector<std::string> pass(std::chrono::nanoseconds);  // with each timer at its time
  std::vector<std::string> resume(const std::vector<supervisor::Living>&);
  // The brain dies and knows afterwards what it had stored; every process lived on.
  std::vector<std::string> brain_dies();

  // Started and, where it takes a word to be ready, that word.
  void bring_up(Slot);

  // Announcements since the last call: "ready echo.0".
  std::vector<std::string> announced();

  std::string status(Slot slot) const { return std::string(to_string(at(slot).status)); }
  const supervisor::InstanceState& at(Slot slot) const { return state.instances[slot]; }
  std::chrono::nanoseconds until_due() const;  // of the next timer
  std::string reason(Slot slot) const { return supervisor::reason(plan, state, slot, now); }

  supervisor::Plan plan;
  supervisor::State state;
  supervisor::TimeNs now = 1'000'000'000;

 private:
  std::vector<std::string> sort_out(const std::vector<supervisor::Action>&);

  std::vector<std::string> announced_;
  std::int32_t next_pid_ = 100;
};

}  // namespace bulkhead::test
