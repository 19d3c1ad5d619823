#include "supervisor/thread_look.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <functional>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>

#include "base/clock.hpp"
#include "base/fd.hpp"

namespace bulkhead::supervisor {
namespace {

using Span = std::chrono::nanoseconds;

constexpr std::size_t threads_max = 256;
// Shares of the time between two looks, in percent.
constexpr int much = 50, next_to_nothing = 10;

std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// The name in parentheses may hold anything, so the state stands after the last one (proc(5)).
char state_in(const std::string& stat) {
  const auto name_end = stat.rfind(") ");
  return name_end != std::string::npos && name_end + 2 < stat.size() ? stat[name_end + 2] : '?';
}

bool is_stop(char state) { return state == 'T' || state == 't'; }  // by a signal, by a debugger

// nullopt: the thread has ended meanwhile.
std::optional<ThreadState> look_at(const std::string& directory, pid_t id) {
  const auto stat = base::read_file(directory + "/stat");
  const auto schedule = base::read_file(directory + "/schedstat");
  const auto name = base::read_file(directory + "/comm");
  if (!stat || !schedule || !name) return std::nullopt;
  std::istringstream words(*schedule);
  std::uint64_t on_cpu = 0, waited = 0;
  if (!(words >> on_cpu >> waited)) return std::nullopt;
  ThreadState thread;
  thread.id = id;
  thread.name = trimmed(*name);
  thread.state = state_in(*stat);
  thread.on_cpu = Span(on_cpu);
  thread.waited = Span(waited);
  // "0" for one that runs, and for who may not know.
  if (const auto waits_in = base::read_file(directory + "/wchan"); waits_in && *waits_in != "0") {
    thread.waits_in = trimmed(*waits_in);
  }
  return thread;
}

const ThreadState* find(const ThreadsSeen& seen, pid_t id) {
  const auto found = std::find_if(seen.threads.begin(), seen.threads.end(),
                                  [&](const ThreadState& thread) { return thread.id == id; });
  return found == seen.threads.end() ? nullptr : &*found;
}

int percent(Span part, Span whole) {
  if (whole.count() <= 0) return 0;
  return static_cast<int>(std::clamp<std::int64_t>(part.count() * 100 / whole.count(), 0, 100));
}

// What a thread did between the looks.
struct Course {
  const ThreadState* before;
  const ThreadState* now;
  int computed, waited;  // percent of the time
  bool was(char state) const { return before->state == state && now->state == state; }
  bool is_stopped() const { return is_stop(now->state); }
  // A control group that has used up its share is not even in the queue.
  bool is_starved() const { return computed < next_to_nothing && (waited >= much || was('R')); }
};

}  // namespace

bool is_stopped(pid_t process) {
  const auto stat = base::read_file("/proc/" + std::to_string(process) + "/stat");
  return stat && is_stop(state_in(*stat));
}

Result<ThreadsSeen> look_at_threads(pid_t process) {
  const std::string tasks = "/proc/" + std::to_string(process) + "/task";
  ThreadsSeen seen;
  seen.process = process;
  seen.at = Span(static_cast<std::int64_t>(base::monotonic_ns()));
  std::error_code error;
  for (std::filesystem::directory_iterator at(tasks, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename();
    pid_t id = 0;
    std::from_chars(name.data(), name.data() + name.size(), id);
    if (auto thread = look_at(at->path(), id)) seen.threads.push_back(std::move(*thread));
    if (seen.threads.size() == threads_max) break;
  }
  if (!seen.threads.empty()) return seen;
  if (error) {
    return make_error(Errc::not_found, "process " + std::to_string(process) + " is gone");
  }
  return make_error(Errc::unsupported,
                    tasks + " has no schedstat: the kernel is built without CONFIG_SCHED_INFO");
}

int cpu_percent(const ThreadsSeen& before, const ThreadsSeen& now, pid_t thread) {
  const auto* const then = find(before, thread);
  const auto* const later = find(now, thread);
  if (then == nullptr || later == nullptr) return 0;
  return percent(later->on_cpu - then->on_cpu, now.at - before.at);
}

// The strongest sign counts: who computes does so whatever the others wait for, and who waits without need of
// anything is the last explanation.
Verdict judge(const ThreadsSeen& before, const ThreadsSeen& now) {
  std::vector<Course> courses;
  for (const auto& thread : now.threads) {
    const auto* const then = find(before, thread.id);
    if (then == nullptr) continue;
    const auto span = now.at - before.at;
    courses.push_back({then, &thread, percent(thread.on_cpu - then->on_cpu, span),
                       percent(thread.waited - then->waited, span)});
  }
  if (courses.empty()) return {};
  const auto verdict = [](Hang hang, const Course& course) {
    return Verdict{hang, course.now->id, course.computed};
  };
  if (std::all_of(courses.begin(), courses.end(), std::mem_fn(&Course::is_stopped))) {
    return verdict(Hang::stopped, courses.front());
  }
  const auto busiest =
      std::max_element(courses.begin(), courses.end(), [](const Course& a, const Course& b) {
        return a.computed + a.waited < b.computed + b.waited;
      });
  if (busiest->computed + busiest->waited >= much && !busiest->is_starved()) {
    return verdict(Hang::spinning, *busiest);
  }
  const auto first = [&](auto holds) {
    return std::find_if(courses.begin(), courses.end(), holds);
  };
  if (const auto starved = first(std::mem_fn(&Course::is_starved)); starved != courses.end()) {
    return verdict(Hang::starved, *starved);
  }
  const auto stuck = first([](const Course& course) { return course.was('D'); });
  if (stuck != courses.end()) return verdict(Hang::uninterruptible, *stuck);
  const auto main = first([&](const Course& course) { return course.now->id == now.process; });
  return verdict(Hang::blocked, main != courses.end() ? *main : courses.front());
}

std::string_view to_string(Hang hang) noexcept {
  switch (hang) {
    case Hang::unknown: break;
    case Hang::blocked: return "blocked";
    case Hang::spinning: return "spinning";
    case Hang::stopped: return "stopped";
    case Hang::uninterruptible: return "uninterruptible";
    case Hang::starved: return "starved";
  }
  return "unknown";
}

std::string in_words(const Verdict& verdict, pid_t process) {
  const std::string thread =
      verdict.thread == process ? "its main thread" : "thread " + std::to_string(verdict.thread);
  switch (verdict.hang) {
    case Hang::unknown: return "";
    case Hang::blocked: return thread + " was asleep, waiting for something";
    case Hang::spinning:
      return thread + " was busy (" + std::to_string(verdict.cpu_percent) + " % of a processor)";
    case Hang::stopped: return "it was stopped by a signal";
    case Hang::uninterruptible: return thread + " was stuck in the kernel";
    case Hang::starved: return thread + " was given no processor";
  }
  return "";
}

}  // namespace bulkhead::supervisor
