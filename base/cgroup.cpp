#include "base/cgroup.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <optional>

#include "base/child_process.hpp"
#include "base/fd.hpp"

namespace bulkhead::base {
namespace {

// Takes the text up to the separator off the front.
std::string_view take(std::string_view& text, char separator) noexcept {
  const auto end = std::min(text.find(separator), text.size());
  const auto part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

bool is_listed(std::string_view list, std::string_view item, char separator) noexcept {
  while (!list.empty()) {
    if (take(list, separator) == item) return true;
  }
  return false;
}

// Blanks and backslashes are written as three octal digits there (proc_pid_mountinfo(5)).
std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    const char* const digits = text.data() + i + 1;
    const bool is_code = text[i] == '\\' && i + 3 < text.size() &&
                         std::from_chars(digits, digits + 3, code, 8).ptr == digits + 3;
    plain += is_code ? static_cast<char>(code) : text[i];
    if (is_code) i += 3;
  }
  return plain;
}

struct Membership {
  CgroupVersion version;
  std::string path;  // from the root of the hierarchy, as far as our namespace shows it
};

// Lines "4:memory,other:/path" of version 1 and "0::/path" of version 2.
std::optional<Membership> find_membership(std::string_view text, std::string_view controller) {
  std::optional<Membership> found;
  while (!text.empty()) {
    auto path = take(text, '\n');
    const auto number = take(path, ':');
    const auto controllers = take(path, ':');
    if (is_listed(controllers, controller, ',')) {
      return Membership{CgroupVersion::v1, std::string(path)};
    }
    if (number == "0" && controllers.empty()) {
      found = Membership{CgroupVersion::v2, std::string(path)};
    }
  }
  return found;
}

struct Mount {
  std::string root, point;
};

// "31 23 0:28 ROOT POINT OPTIONS [TAGS…] - TYPE SOURCE SUPEROPTIONS".
std::optional<Mount> read_mount(std::string_view line, CgroupVersion version,
                                std::string_view controller) {
  for (int field = 0; field < 3; ++field) take(line, ' ');
  Mount mount;
  mount.root = unescaped(take(line, ' '));
  mount.point = unescaped(take(line, ' '));
  while (!line.empty() && take(line, ' ') != "-") {
  }
  const auto type = take(line, ' ');
  take(line, ' ');
  const bool counts = version == CgroupVersion::v2
                          ? type == "cgroup2"
                          : type == "cgroup" && is_listed(line, controller, ',');
  return counts ? std::optional(mount) : std::nullopt;
}

bool is_above(const std::string& root, const std::string& path) {
  return root == "/" || path == root || path.starts_with(root + "/");
}

UniqueFd pin(const std::string& directory, pid_t pid) {
  auto pidfd = open_pidfd(pid);
  const auto members = cgroup_members(directory);
  const bool is_member = std::find(members.begin(), members.end(), pid) != members.end();
  return pidfd && is_member ? std::move(*pidfd) : UniqueFd{};
}

int milliseconds_left(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

}  // namespace

std::string_view to_string(CgroupVersion version) noexcept {
  return version == CgroupVersion::v1 ? "cgroup v1" : "cgroup v2";
}

// Of several mounts of one hierarchy the last that shows our cgroup counts: it may lie over the others.
Result<CgroupPlace> find_cgroup(std::string_view mountinfo, std::string_view membership,
                                std::string_view controller) {
  const std::string name(controller);
  const auto own = find_membership(membership, controller);
  if (!own) return make_error(Errc::not_found, "this kernel has no " + name + " cgroups");
  bool is_mounted = false;
  std::optional<CgroupPlace> found;
  while (!mountinfo.empty()) {
    const auto mount = read_mount(take(mountinfo, '\n'), own->version, controller);
    if (!mount) continue;
    is_mounted = true;
    const bool is_outside = own->path.starts_with("/..");  // of our cgroup namespace
    if (is_outside || !is_above(mount->root, own->path)) continue;
    std::string below = mount->root == "/" ? own->path : own->path.substr(mount->root.size());
    if (below == "/") below.clear();
    found = CgroupPlace{own->version, mount->point + below};
  }
  if (found) return *found;
  if (is_mounted) {
    return make_error(Errc::not_found, "our own " + name + " cgroup " + own->path +
                                           " lies outside of what is mounted here");
  }
  return make_error(Errc::not_found, own->version == CgroupVersion::v1
                                         ? "the " + name + " cgroups (v1) are not mounted"
                                         : std::string("no cgroups are mounted"));
}

Result<CgroupPlace> own_cgroup(std::string_view controller) {
  const auto mountinfo = read_file("/proc/self/mountinfo");
  if (!mountinfo) return mountinfo.error();
  const auto membership = read_file("/proc/self/cgroup");
  if (!membership) return membership.error();
  return find_cgroup(*mountinfo, *membership, controller);
}

std::uint64_t keyed_figure(std::string_view text, std::string_view word) noexcept {
  while (!text.empty()) {
    auto line = take(text, '\n');
    if (take(line, ' ') != word) continue;
    std::uint64_t figure = 0;
    std::from_chars(line.data(), line.data() + line.size(), figure);
    return figure;
  }
  return 0;
}

bool has_word(std::string_view list, std::string_view word) noexcept {
  return is_listed(list.substr(0, list.find('\n')), word, ' ');
}

std::string refusal_in_words(const Error& error) {
  return error.code.category() == bulkhead_category() ? error.context : error.to_string();
}

Result<void> write_control(const std::string& file, std::string_view value) {
  const UniqueFd control{::open(file.c_str(), O_WRONLY | O_CLOEXEC)};
  if (!control.is_open()) return errno_error(errno, "open " + file);
  if (::write(control.get(), value.data(), value.size()) < 0) {
    return errno_error(errno, "write " + std::string(value) + " to " + file);
  }
  return {};
}

Result<void> remove_cgroup(const std::string& directory) {
  if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) return {};
  return errno_error(errno, "remove the cgroup " + directory);
}

std::vector<pid_t> cgroup_members(const std::string& directory) {
  std::vector<pid_t> members;
  const auto text = read_file(directory + "/cgroup.procs");
  if (!text) return members;
  for (std::string_view rest = *text; !rest.empty();) {
    const auto line = take(rest, '\n');
    pid_t pid = 0;
    std::from_chars(line.data(), line.data() + line.size(), pid);
    if (pid > 0) members.push_back(pid);  // 0: of a pid namespace that we do not see
  }
  return members;
}

void kill_cgroup(const std::string& directory, Deadline deadline) {
  for (auto members = cgroup_members(directory); !members.empty() && !deadline.expired();
       members = cgroup_members(directory)) {
    std::vector<pollfd> dying;
    std::vector<UniqueFd> pinned;
    for (const pid_t pid : members) {
      auto pidfd = pin(directory, pid);
      if (!pidfd.is_open() || !send_signal(pidfd.get(), SIGKILL)) continue;
      dying.push_back({pidfd.get(), POLLIN, 0});
      pinned.push_back(std::move(pidfd));
    }
    if (dying.empty()) return;  // nobody whom we may kill
    for (pollfd& one : dying) (void)::poll(&one, 1, milliseconds_left(deadline));
    // A zombie counts as a member until its parent has reaped it, and cannot be killed again.
    const bool all_dead =
        std::all_of(dying.begin(), dying.end(), [](const pollfd& one) { return one.revents != 0; });
    if (all_dead && cgroup_members(directory) == members) return;
  }
}

}  // namespace bulkhead::base
