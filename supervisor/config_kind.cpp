// What kind of worker it is: how long it is meant to run, how often, and what its end means.
#include "supervisor/config_draft.hpp"
#include "supervisor/config_keys.hpp"

namespace bulkhead::supervisor {

using namespace std::chrono_literals;

void read_kind(const ObjectAt& section, WorkerConfig& worker) {
  bool understood = true;
  if (const auto found = section.find("kind")) {
    const auto kind = read_enum(*found, config_keys::worker_kind);
    understood = kind.has_value();
    keep(worker.kind, kind);
  }
  if (const auto found = section.find("every")) {
    keep(worker.every, read_duration(*found, 100ms, 365 * 24h));
    if (understood && worker.kind != WorkerKind::scheduled) {
      section.wrong_at_key(
          "every", R"("every" without effect (expected with "kind": "scheduled", or not at all))");
    }
  } else if (worker.kind == WorkerKind::scheduled) {
    section.missing("every", R"(expected how often it runs, such as "every": "1h")");
  }
  if (const auto found = section.find("significant")) {
    keep(worker.significant, read_enum(*found, config_keys::significant));
  }
}

// As in OTP: what is always started again has no end that could be significant.
void check_significance(const ObjectAt& section, const WorkerConfig& worker) {
  if (worker.significant != Significant::any_exit || worker.kind == WorkerKind::oneshot) return;
  const auto at = section.find("significant");
  if (worker.kind == WorkerKind::scheduled) {
    at->wrong(R"("any_exit" of a worker that runs again and again (expected "failure"))");
  } else if (worker.restart.policy == RestartPolicy::always) {
    at->wrong(
        R"("any_exit" of a service that is always restarted (expected "failure", or a restart )"
        R"(policy "on_failure" or "never", or "kind": "oneshot"))");
  }
}

}  // namespace bulkhead::supervisor
