#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/others/supervisors/child.hpp"
#include "bench/others/supervisors/recipe.hpp"

namespace bulkhead::bench::others {

namespace fs = std::filesystem;

std::vector<Recipe> all_recipes(const std::string& bulkhead_program) {
  return {bulkhead_recipe(bulkhead_program), s6_recipe(), runit_recipe(), erlang_recipe(),
          supervisord_recipe()};
}

// In the foreground, as the others are; the child is a plain program to it.
Recipe bulkhead_recipe(const std::string& program) {
  const nlohmann::json config = {
      {"version", 1},
      {"name", "bench"},
      {"workers",
       {{"child",
         {{"command", {"./run"}},
          {"runtime", false},
          {"restart", {{"backoff", {{"initial", "0ms"}}}, {"limit", "none"}}}}}}}};
  return {"bulkhead",
          "",
          program,
          {"run", "bulkhead.json"},
          {"BULKHEAD_RUNTIME_DIR=."},
          {{"bulkhead.json", config.dump()}}};
}

// With startsecs=0 a start has succeeded at once, so that a restart is no retry after a failure, for which it would
// wait longer and longer. Of its loop, which waits for up to a second, no setting speaks.
Recipe supervisord_recipe() {
  return {"supervisord",
          "supervisor",
          "supervisord",
          {"--nodaemon", "--configuration", "supervisord.conf"},
          {},
          {{"supervisord.conf",
            "[supervisord]\n"
            "logfile=supervisord.log\n"
            "pidfile=supervisord.pid\n"
            "[program:child]\n"
            "command=./run\n"
            "autorestart=true\n"
            "startsecs=0\n"
            "startretries=1000000000\n"
            "stdout_logfile=NONE\n"
            "stderr_logfile=NONE\n"}}};
}

// Without notification-fd it would wait for a second after each death.
Recipe s6_recipe() {
  return {"s6",
          "s6",
          "s6-supervise",
          {"."},
          {child_ready_fd_variable + std::string("=3")},
          {{"notification-fd", "3\n"}}};
}

Recipe runit_recipe() { return {"runit", "runit", "runsv", {"."}, {}, {}}; }

fs::path find_program(const Recipe& recipe) {
  const char* path = ::getenv("PATH");
  if (recipe.program.find('/') != std::string::npos) {
    return ::access(recipe.program.c_str(), X_OK) == 0 ? fs::path(recipe.program) : fs::path();
  }
  std::istringstream folders(path != nullptr ? path : "/usr/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    fs::path candidate = fs::path(folder) / recipe.program;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

std::string package_version(const Recipe& recipe) {
  if (recipe.package.empty()) return {};
  const std::string command =
      "dpkg-query -W -f '${Version}' " + recipe.package + " 2>/dev/null </dev/null";
  const std::unique_ptr<FILE, int (*)(FILE*)> answer(::popen(command.c_str(), "r"), &::pclose);
  std::array<char, 128> version{};
  if (answer) (void)!std::fread(version.data(), 1, version.size() - 1, answer.get());
  return version.data();
}

}  // namespace bulkhead::bench::others
