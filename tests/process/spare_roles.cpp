// Workers for the tests of spares: what only the program itself can say of its identity. Started by spares_test.
#include <bulkhead/worker.hpp>

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

using namespace bulkhead;

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

// As the runtime says, and as the environment says.
Result<void> tell(Worker& self) {
  std::printf("%s %u %u\n", self.name().c_str(), self.index(), self.generation());
  std::printf("%s %s %s of %s\n", variable("BULKHEAD_NAME").c_str(),
              variable("BULKHEAD_INDEX").c_str(), variable("BULKHEAD_GENERATION").c_str(),
              variable("BULKHEAD_WORKER").c_str());
  std::fflush(stdout);
  self.ready();
  return self.ended(self.pause(std::chrono::hours(24)).error());
}

// Starts a process that leaves its group, and tells its pid.
Result<void> bring_up_a_child(Worker& self) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setsid();
    ::execlp("sleep", "sleep", "100000", nullptr);
    ::_exit(127);
  }
  self.status("child " + std::to_string(child));
  self.ready();
  return self.ended(self.pause(std::chrono::hours(24)).error());
}

// The second incarnation dies before it is ready.
Result<void> stumble(Worker& self) {
  if (self.generation() == 2) std::abort();
  self.ready();
  return self.ended(self.pause(std::chrono::hours(24)).error());
}

// The second incarnation is ready, and then does nothing that anybody could see.
Result<void> hang(Worker& self) {
  self.ready();
  while (self.generation() == 2) {
  }
  return self.ended(self.pause(std::chrono::hours(24)).error());
}

}  // namespace

int main(int argc, char** argv) {
  const std::string role = argc > 1 ? argv[1] : "";
  if (role == "tell") return Worker::run(argc, argv, tell);
  if (role == "child") return Worker::run(argc, argv, bring_up_a_child);
  if (role == "stumble") return Worker::run(argc, argv, stumble);
  if (role == "hang") return Worker::run(argc, argv, hang);
  std::fprintf(stderr, "spare_roles: no role \"%s\"\n", role.c_str());
  return 2;
}
