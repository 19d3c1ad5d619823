#include "base/process_tree.hpp"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "base/child_process.hpp"
#include "base/fd.hpp"

namespace bulkhead::base {
namespace {

using namespace std::chrono_literals;

// What /proc/PID/stat says. A pid and its start time name a process for good.
struct Row {
  pid_t pid = 0, parent = 0, group = 0;
  char state = '?';
  std::uint64_t start_time = 0;
  bool gone() const noexcept { return state == 'Z' || state == 'X'; }
};

std::string proc_path(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

// The name in parentheses may hold anything, so the fields begin after the last one (proc(5)).
std::optional<Row> read_row(pid_t pid) {
  const auto text = read_file(proc_path(pid, "stat"));
  if (!text) return std::nullopt;
  std::string_view rest = *text;
  const auto name_end = rest.rfind(") ");
  if (name_end == std::string_view::npos) return std::nullopt;
  rest.remove_prefix(name_end + 2);
  Row row;
  row.pid = pid;
  for (int field = 3; field <= 22 && !rest.empty(); ++field) {
    const auto word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    const char* end = word.data() + word.size();
    if (field == 3) row.state = word.front();
    if (field == 4) std::from_chars(word.data(), end, row.parent);
    if (field == 5) std::from_chars(word.data(), end, row.group);
    if (field == 22) std::from_chars(word.data(), end, row.start_time);
  }
  return row;
}

std::map<pid_t, Row> read_table() {
  std::map<pid_t, Row> table;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc"), ::closedir);
  if (!directory) return table;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parsed.ec != std::errc{} || parsed.ptr != name.data() + name.size()) continue;
    if (const auto row = read_row(pid)) table.emplace(pid, *row);
  }
  return table;
}

bool carries(pid_t pid, const std::string& cookie) {
  const auto text = read_file(proc_path(pid, "environ"));
  if (!text) return false;
  for (std::string_view rest = *text; !rest.empty();) {
    const auto entry = rest.substr(0, rest.find('\0'));
    if (entry == cookie) return true;
    rest.remove_prefix(std::min(entry.size() + 1, rest.size()));
  }
  return false;
}

// The table is a snapshot of a moving thing: a loop in it must not become one here.
bool descends(const std::map<pid_t, Row>& table, pid_t pid, pid_t root) {
  for (std::size_t steps = 0; steps <= table.size(); ++steps) {
    if (pid == root) return true;
    const auto found = table.find(pid);
    if (found == table.end()) return false;
    pid = found->second.parent;
  }
  return false;
}

std::vector<Row> find_rows(const ProcessTree& tree) {
  const auto table = read_table();
  std::vector<Row> found;
  for (const auto& [pid, row] : table) {
    if (row.gone() || pid == ::getpid()) continue;
    const bool in_group = tree.group > 0 && row.group == tree.group;
    const bool below = tree.root > 0 && descends(table, pid, tree.root);
    if (in_group || below || (!tree.cookie.empty() && carries(pid, tree.cookie))) {
      found.push_back(row);
    }
  }
  return found;
}

// Open when the process was signalled and can be waited for.
UniqueFd kill_row(const Row& row) {
  auto pidfd = open_pidfd(row.pid);
  if (!pidfd) return {};
  const auto now = read_row(row.pid);
  if (!now || now->start_time != row.start_time) return {};  // somebody else by now
  if (!send_signal(pidfd->get(), SIGKILL)) return {};
  return std::move(*pidfd);
}

// Until all are dead, but not for long: one in state D must not keep the others from being found.
void await_death(const std::vector<UniqueFd>& victims, const Deadline& deadline) {
  const auto until = std::min(deadline.when(), Deadline::clock::now() + 100ms);
  for (const auto& victim : victims) {
    const auto left = std::max(until - Deadline::clock::now(), Deadline::clock::duration::zero());
    pollfd entry{victim.get(), POLLIN, 0};
    (void)::poll(&entry, 1,
                 static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count()));
  }
}

std::string names(const std::vector<Row>& rows) {
  std::string text;
  for (const auto& row : rows) {
    text += (text.empty() ? "" : ", ") + std::to_string(row.pid) + " (state " + row.state + ")";
  }
  return text;
}

}  // namespace

std::vector<pid_t> find_processes(const ProcessTree& tree) {
  std::vector<pid_t> pids;
  for (const auto& row : find_rows(tree)) pids.push_back(row.pid);
  return pids;
}

// The kernel skips somebody in its list when the child before is reaped at that moment. Such a list names the
// one that was reaped, and no later list can; so one that reads the same twice has everybody (proc(5),
// "children", says that it is not reliable, and get_children_pid() in fs/proc/array.c why).
std::optional<std::vector<pid_t>> children_of(pid_t parent) {
  const std::string file = "task/" + std::to_string(parent) + "/children";
  std::set<pid_t> found;
  std::string before;
  for (int reads = 0; reads < 100; ++reads) {
    const auto list = read_file(proc_path(parent, file.c_str()));
    if (!list) return std::nullopt;
    std::istringstream numbers(*list);
    for (pid_t pid = 0; numbers >> pid;) found.insert(pid);
    if (reads > 0 && *list == before) break;
    before = *list;
  }
  return std::vector<pid_t>(found.begin(), found.end());
}

std::vector<pid_t> ancestry(pid_t pid) {
  std::vector<pid_t> line;
  std::set<pid_t> seen;
  while (pid > 0 && seen.insert(pid).second) {
    const auto row = read_row(pid);
    if (!row) break;
    line.push_back(pid);
    pid = row->parent;
  }
  return line;
}

bool has_entry(pid_t pid, const std::string& entry) { return carries(pid, entry); }

std::size_t kill_those_with(const std::string& entry, std::span<const pid_t> pids,
                            Deadline deadline) {
  std::vector<UniqueFd> victims;
  for (const pid_t pid : pids) {
    const auto row = read_row(pid);
    if (!row || row->gone() || pid == ::getpid() || !carries(pid, entry)) continue;
    auto pidfd = kill_row(*row);
    if (pidfd.is_open()) victims.push_back(std::move(pidfd));
  }
  await_death(victims, deadline);
  return victims.size();
}

Result<std::size_t> kill_tree(const ProcessTree& tree, Deadline deadline) {
  std::set<std::pair<pid_t, std::uint64_t>> killed;
  for (;;) {
    const auto rows = find_rows(tree);
    if (rows.empty()) return killed.size();
    std::vector<UniqueFd> victims;
    for (const auto& row : rows) {
      auto pidfd = kill_row(row);
      if (!pidfd.is_open()) continue;
      killed.emplace(row.pid, row.start_time);
      victims.push_back(std::move(pidfd));
    }
    if (deadline.expired())
      return make_error(Errc::timed_out, "still there after SIGKILL: " + names(rows));
    await_death(victims, deadline);
    if (victims.empty()) (void)::poll(nullptr, 0, 1);  // not ours to kill: no busy loop
  }
}

}  // namespace bulkhead::base
