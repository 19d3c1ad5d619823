// bulkhead-brain: started by the keeper, never by hand.
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "base/urgency.hpp"
#include "supervisor/brain.hpp"

int main(int argc, char** argv) {
  using namespace bulkhead::supervisor;
  std::signal(SIGPIPE, SIG_IGN);  // NOLINT(cert-err33-c): cannot fail for a valid signal
  bulkhead::base::keep_urgency_from_children();  // the keeper's, which we inherited
  const auto arguments = parse_brain_arguments(argc, argv);
  if (!arguments) {
    std::fprintf(stderr, "bulkhead: %s\n", arguments.error().to_string().c_str());
    return 2;
  }
  auto brain = Brain::create(*arguments);
  if (!brain) {
    std::fprintf(stderr, "bulkhead: brain: %s\n", brain.error().to_string().c_str());
    return 1;
  }
  const int code = (*brain)->run();
  // At once: a brain that closes its end and lives on is killed, and its end would not look like a handover.
  if (code == keeper_layout::exit_handover) ::_exit(code);
  return code;
}
