// bulkhead-logger: `bulkhead-logger [--control-fd N]`, else BULKHEAD_CONTROL_FD. Started by the brain.
#include <signal.h>
#include <sys/resource.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "supervisor/logger.hpp"

namespace {

int control_fd(int argc, char** argv) {
  const char* text = std::getenv("BULKHEAD_CONTROL_FD");
  if (argc == 3 && std::string_view(argv[1]) == "--control-fd") text = argv[2];
  int fd = -1;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), fd);
  return fd;
}

// Two descriptors per instance: whatever the hard limit allows.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace bulkhead;
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  ::sigprocmask(SIG_BLOCK, &ends, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();

  base::UniqueFd control(control_fd(argc, argv));
  if (!control.is_open() || !base::set_cloexec(control.get(), true)) {
    std::fprintf(stderr, "bulkhead-logger: no control socket (it is started by `bulkhead run`)\n");
    return 2;
  }
  auto logger = supervisor::Logger::open(std::move(control));
  const Result<void> ran = logger ? (*logger)->run() : Result<void>(logger.error());
  if (ran) return 0;
  std::fprintf(stderr, "bulkhead-logger: %s\n", ran.error().to_string().c_str());
  return 1;
}
