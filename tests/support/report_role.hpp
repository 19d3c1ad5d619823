// What a child finds around itself, as text on a descriptor: the other half of tests about spawning. Used
// by tests that re-execute their own binary; knows nothing of the code under test.
#pragma once

#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

namespace bulkhead::test {

// Numbers and targets of the open descriptors above 2, without the one that lists them.
inline std::string list_descriptors() {
  std::ostringstream text;
  for (int fd = 0; fd < 256; ++fd) {
    std::error_code none;
    const auto target = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), none);
    if (!none) text << "fd" << fd << " " << target.string() << "\n";
  }
  return text.str();
}

inline std::string describe_self() {
  std::ostringstream text;
  text << list_descriptors();
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Sig") || line.starts_with("NoNewPrivs")) {
      const auto colon = line.find(':');
      text << line.substr(0, colon) << " " << line.substr(line.find_first_not_of(" \t", colon + 1))
           << "\n";
    }
  }
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  sched_getaffinity(0, sizeof cpus, &cpus);
  rlimit core{};
  getrlimit(RLIMIT_CORE, &core);
  const mode_t mask = umask(0);
  text << "pid " << getpid() << "\nparent " << getppid() << "\ngroup " << getpgrp() << "\nsession "
       << getsid(0) << "\nuid " << getuid() << "\ngid " << getgid() << "\ngroups "
       << getgroups(0, nullptr) << "\nnice " << getpriority(PRIO_PROCESS, 0) << "\numask " << mask
       << "\ncpus " << CPU_COUNT(&cpus) << "\npolicy " << sched_getscheduler(0) << "\ncore "
       << core.rlim_cur << "\ndirectory " << std::filesystem::current_path().string() << "\nK "
       << (getenv("K") ? getenv("K") : "") << "\n";
  return text.str();
}

inline std::map<std::string, std::string> parse_description(const std::string& text) {
  std::map<std::string, std::string> fields;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto space = line.find(' ');
    fields[line.substr(0, space)] = line.substr(space + 1);
  }
  return fields;
}

}  // namespace bulkhead::test
