#include "supervisor/cgroup_tree.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <filesystem>

#include "base/fd.hpp"
#include "base/process_tree.hpp"

namespace bulkhead::supervisor {
namespace {

using base::CgroupVersion;
namespace fs = std::filesystem;

constexpr std::string_view supervisor_leaf = "supervisor";
constexpr std::uint64_t at_the_limit_bytes = std::uint64_t{64} << 10;
constexpr mode_t directory_mode = 0755;  // as all cgroups; who may write is the owner of the files

Result<void> make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), directory_mode) == 0 || errno == EEXIST) return {};
  return errno_error(errno, "make the cgroup " + path);
}

bool is_missing(const Result<void>& written) {
  return !written && written.error().code.value() == ENOENT;
}

// A worker is not to get around its limit by swapping, nor to go on with half of its processes. What the kernel
// was built without does not count.
Result<void> limit_memory(const std::string& directory, CgroupVersion version,
                          const std::string& bytes) {
  const auto also = [&](const char* file, const std::string& value) -> Result<void> {
    auto written = base::write_control(directory + file, value);
    return is_missing(written) ? Result<void>() : written;
  };
  if (version == CgroupVersion::v1) {
    const auto limited = base::write_control(directory + "/memory.limit_in_bytes", bytes);
    return limited ? also("/memory.memsw.limit_in_bytes", bytes) : limited;
  }
  if (auto limited = base::write_control(directory + "/memory.max", bytes); !limited)
    return limited;
  if (auto no_swap = also("/memory.swap.max", "0"); !no_swap) return no_swap;
  return also("/memory.oom.group", "1");
}

std::string read_or_nothing(const std::string& file) {
  auto text = base::read_file(file);
  return text ? std::move(*text) : std::string();
}

std::optional<std::uint64_t> figure_in(const std::string& file) {
  const std::string text = read_or_nothing(file);
  std::uint64_t figure = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), figure);
  return parsed.ec == std::errc{} ? std::optional(figure) : std::nullopt;
}

}  // namespace

// Two systems may have one name, in different runtime directories.
std::string CgroupTree::name_of(const std::string& system, const std::string& runtime_dir) {
  std::error_code failed;
  const auto where = fs::weakly_canonical(runtime_dir, failed);
  std::uint64_t key = 0xcbf2'9ce4'8422'2325;  // FNV-1a
  for (const char c : failed ? runtime_dir : where.string()) {
    key = (key ^ static_cast<unsigned char>(c)) * 0x100'0000'01b3;
  }
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), "%016" PRIx64, key);
  return "bulkhead-" + system + "-" + text.data();
}

CgroupTree::CgroupTree(std::string controller, std::string system_name, pid_t keeper)
    : controller_(std::move(controller)), system_name_(std::move(system_name)), keeper_(keeper) {
  if (const auto found = find(); !found) missing_ = found.error();
  is_there_ = !missing_ && ::access(directory("").c_str(), F_OK) == 0;
}

// A brain whose predecessor moved the supervisor is born where that moved to.
Result<void> CgroupTree::find() {
  auto own = base::own_cgroup(controller_);
  if (!own) return own.error();
  const std::string moved = "/" + system_name_ + "/" + std::string(supervisor_leaf);
  if (own->directory.ends_with(moved)) {
    own->directory.resize(own->directory.size() - moved.size());
  }
  own_ = std::move(*own);
  return {};
}

std::string CgroupTree::directory(std::string_view leaf) const {
  std::string path = own_.directory + "/" + system_name_;
  if (!leaf.empty()) path.append("/").append(leaf);
  return path;
}

Result<void> CgroupTree::prepare() {
  if (!prepared_) prepared_ = make_ready();
  return *prepared_;
}

Result<void> CgroupTree::make_ready() {
  if (missing_) return *missing_;
  if (own_.version == CgroupVersion::v2) {
    if (auto handed = hand_down(); !handed) return handed;
  }
  auto made = make_directory(directory(""));
  if (made && own_.version == CgroupVersion::v2) {
    const std::string control = directory("") + "/cgroup.subtree_control";
    made = base::write_control(control, "+" + controller_);
  }
  is_there_ = ::access(directory("").c_str(), F_OK) == 0;
  return made;
}

Result<void> CgroupTree::hand_down() {
  const std::string& name = controller_;
  const std::string control = own_.directory + "/cgroup.subtree_control";
  const std::string offered = read_or_nothing(own_.directory + "/cgroup.controllers");
  if (!base::has_word(offered, name)) {
    return make_error(Errc::unsupported,
                      "our cgroup (v2) " + own_.directory + " is not given the controller " + name);
  }
  if (base::has_word(read_or_nothing(control), name)) return {};
  auto handed = base::write_control(control, "+" + name);
  if (handed || handed.error().code.value() != EBUSY) return handed;
  if (auto moved = move_out(); !moved) return moved;
  return base::write_control(control, "+" + name);
}

// Only what is of the system: others may rely on the cgroup that somebody put them in.
Result<void> CgroupTree::move_out() const {
  const auto members = base::cgroup_members(own_.directory);
  for (const pid_t pid : members) {
    const auto line = base::ancestry(pid);
    if (!line.empty() && std::find(line.begin(), line.end(), keeper_) == line.end()) {
      return make_error(Errc::not_permitted,
                        "our cgroup (v2) " + own_.directory + " is also that of process " +
                            std::to_string(pid) +
                            ", so that it can hand no controller down (start the system in a "
                            "cgroup of its own, as a service with Delegate=yes)");
    }
  }
  const std::string refuge = directory(supervisor_leaf);
  for (const auto& path : {directory(""), refuge}) {
    if (auto made = make_directory(path); !made) return made;
  }
  for (const pid_t pid : members) {
    const auto moved = base::write_control(refuge + "/cgroup.procs", std::to_string(pid));
    if (!moved && moved.error().code.value() != ESRCH) return moved;
  }
  return {};
}

std::vector<std::string> CgroupTree::leaves() const {
  std::vector<std::string> found;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(directory(""), failed)) {
    const std::string name = entry.path().filename();
    if (entry.is_directory(failed) && name != supervisor_leaf) found.push_back(name);
  }
  return found;
}

Result<void> CgroupTree::make(std::string_view leaf) const {
  return make_directory(directory(leaf));
}

Result<void> CgroupTree::set_limit(std::string_view leaf, std::uint64_t limit) const {
  const std::string path = directory(leaf), value = std::to_string(limit);
  return controller_ == "memory" ? limit_memory(path, own_.version, value)
                                 : base::write_control(path + "/pids.max", value);
}

std::optional<std::uint64_t> CgroupTree::limit(std::string_view leaf) const {
  if (controller_ == "pids") return figure_in(directory(leaf) + "/pids.max");
  const bool v1 = own_.version == CgroupVersion::v1;
  return figure_in(directory(leaf) + (v1 ? "/memory.limit_in_bytes" : "/memory.max"));
}

// Version 2 counts how often nothing was left under the limit. Of version 1 the most that was ever used must do, since
// newer kernels no longer count failures there; what did not fit may have been several pages.
OomCount CgroupTree::oom(std::string_view leaf) const {
  const bool v1 = own_.version == CgroupVersion::v1;
  const std::string path = directory(leaf);
  const std::string events =
      read_or_nothing(path + (v1 ? "/memory.oom_control" : "/memory.events"));
  OomCount count;
  count.kills = static_cast<std::uint32_t>(base::keyed_figure(events, "oom_kill"));
  if (v1) {
    const auto most = figure_in(path + "/memory.max_usage_in_bytes").value_or(0);
    count.own_limit = most + at_the_limit_bytes >= limit(leaf).value_or(UINT64_MAX);
  } else {
    count.own_limit = base::keyed_figure(events, "oom") > 0;
  }
  return count;
}

Result<void> CgroupTree::remove(std::string_view leaf, Deadline deadline) const {
  const std::string path = directory(leaf);
  if (base::remove_cgroup(path)) return {};
  base::kill_cgroup(path, deadline);
  // A worker may have made cgroups of its own in it.
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(path, failed)) {
    if (!entry.is_directory(failed)) continue;
    const std::string below = std::string(leaf) + "/" + entry.path().filename().string();
    if (auto removed = remove(below, deadline); !removed) return removed;
  }
  return base::remove_cgroup(path);
}

Result<void> CgroupTree::remove_all() {
  if (!is_there_) return {};
  if (::access(directory(supervisor_leaf).c_str(), F_OK) == 0) return {};
  auto removed = base::remove_cgroup(directory(""));
  if (removed) {
    is_there_ = false;
    prepared_.reset();
  }
  return removed;
}

}  // namespace bulkhead::supervisor
