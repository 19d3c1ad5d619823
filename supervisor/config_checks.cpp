// What only shows when all of a config is known: dependencies, services, totals.
#include <algorithm>

#include "supervisor/config_draft.hpp"
#include "supervisor/descriptor_needs.hpp"

namespace bulkhead::supervisor {
namespace {

using json_source::in_quotes;

// The value of worker.depends_on.NAME, for the position of a finding.
std::optional<At> dependency_at(const Draft& draft, std::size_t worker, const std::string& name) {
  const At& at = draft.worker_at[worker];
  const auto* section = at.value->find("depends_on");
  if (section == nullptr) return std::nullopt;
  const At inside = at.member(*section);
  const auto* member = section->value.find(name);
  if (member == nullptr) return std::nullopt;
  return inside.member(*member);
}

json_source::Position key_position(const Draft& draft, std::size_t worker,
                                   const std::string& name) {
  return draft.worker_at[worker].value->find("depends_on")->value.find(name)->at;
}

// Depth first, without recursion: every edge that leads back into the path that is being walked
// closes a cycle.
class CycleSearch {
 public:
  explicit CycleSearch(Draft& draft)
      : draft_(draft), marks_(draft.config.workers.size(), Mark::fresh) {
    for (const WorkerConfig& worker : draft.config.workers) {
      auto& needs = needs_.emplace_back();
      for (const auto& [name, condition] : worker.depends_on) {
        const auto found = draft.worker_index.find(name);
        if (found != draft.worker_index.end()) needs.push_back(found->second);
      }
      std::sort(needs.begin(), needs.end());
    }
  }

  void run() {
    for (std::size_t start = 0; start < marks_.size(); ++start) {
      if (marks_[start] == Mark::fresh) walk_from(start);
    }
  }

 private:
  enum class Mark : std::uint8_t { fresh, on_path, done };
  struct Step {
    std::size_t worker, next_need;
  };

  void walk_from(std::size_t start) {
    enter(start);
    while (!path_.empty()) {
      Step& step = path_.back();
      if (step.next_need == needs_[step.worker].size()) {
        marks_[step.worker] = Mark::done;
        path_.pop_back();
        continue;
      }
      const std::size_t need = needs_[step.worker][step.next_need++];
      if (marks_[need] == Mark::on_path) {
        report(need);
      } else if (marks_[need] == Mark::fresh) {
        enter(need);
      }
    }
  }

  void enter(std::size_t worker) {
    marks_[worker] = Mark::on_path;
    path_.push_back({worker, 0});
  }

  void report(std::size_t closed_at) {
    std::vector<std::size_t> cycle;
    for (auto step = path_.rbegin();; ++step) {
      cycle.insert(cycle.begin(), step->worker);
      if (step->worker == closed_at) break;
    }
    std::rotate(cycle.begin(), std::min_element(cycle.begin(), cycle.end()), cycle.end());
    const auto& workers = draft_.config.workers;
    std::string text;
    for (const std::size_t worker : cycle) text += workers[worker].name + " -> ";
    text += workers[cycle.front()].name;
    const std::string& next = workers[cycle[cycle.size() > 1 ? 1 : 0]].name;
    const auto at = dependency_at(draft_, cycle.front(), next);
    const std::string what =
        cycle.size() == 1 ? "the worker depends on itself: " : "dependency cycle: ";
    draft_.issues.add(key_position(draft_, cycle.front(), next), at->pointer,
                      what + text + " (remove one of these dependencies)");
  }

  Draft& draft_;
  std::vector<Mark> marks_;
  std::vector<std::vector<std::size_t>> needs_;  // by worker, in the file's order
  std::vector<Step> path_;
};

std::uint64_t store_places_of(const WorkerConfig& worker) {
  return (worker.instances + worker.warm_spares) *
         places_of_instance(worker.runtime, worker.watchdog.has_value());
}

bool can_complete(const WorkerConfig& worker) {
  return worker.kind == WorkerKind::oneshot || worker.restart.policy != RestartPolicy::always;
}

}  // namespace

void check_dependencies(Draft& draft) {
  for (std::size_t i = 0; i < draft.config.workers.size(); ++i) {
    for (const auto& [name, condition] : draft.config.workers[i].depends_on) {
      const auto at = dependency_at(draft, i, name);
      const WorkerConfig* needed = draft.resolve_worker(key_position(draft, i, name), *at, name);
      if (needed != nullptr && needed->kind == WorkerKind::scheduled) {
        at->wrong("worker " + in_quotes(name) +
                  " is scheduled: between its runs it is neither started nor ready (remove it, or "
                  "there \"kind\": \"oneshot\")");
        continue;
      }
      if (needed == nullptr || condition != DependsOn::completed || can_complete(*needed)) continue;
      at->wrong(
          "worker " + in_quotes(name) +
          " never completes: it is a service that is always restarted (expected \"ready\" here, or "
          "there \"kind\": \"oneshot\" or a restart policy \"on_failure\")");
    }
  }
  CycleSearch(draft).run();
}

void check_services(Draft& draft) {
  std::map<std::string, std::string> providers;
  for (std::size_t i = 0; i < draft.config.workers.size(); ++i) {
    const WorkerConfig& worker = draft.config.workers[i];
    for (std::size_t p = 0; p < worker.provides.size(); ++p) {
      const std::string& service = worker.provides[p].name;
      const auto [first, is_new] = providers.emplace(service, worker.name);
      if (is_new) continue;
      const auto* section = draft.worker_at[i].value->find("provides");
      const std::string whose = first->second == worker.name
                                    ? "twice by this worker"
                                    : "by worker " + in_quotes(first->second) + " too";
      draft.worker_at[i].member(*section).wrong("service " + in_quotes(service) + " is provided " +
                                                whose +
                                                " (expected one provider: give it another name)");
    }
  }
}

void check_totals(Draft& draft) {
  std::uint64_t instances = 0, places = places_of_system;
  const auto check = [&](const At& at, std::uint64_t added, std::uint64_t& total,
                         std::uint64_t most, const std::string& of_what) {
    const bool was_fine = total <= most;
    total += added;
    if (!was_fine || total <= most) return;
    at.wrong("up to here the system needs " + std::to_string(total) + " " + of_what +
             " (expected at most " + std::to_string(most) + ": have fewer instances)");
  };
  for (std::size_t i = 0; i < draft.config.workers.size(); ++i) {
    const WorkerConfig& worker = draft.config.workers[i];
    check(draft.worker_at[i], worker.instances + worker.warm_spares, instances, instances_max,
          "instances");
    check(draft.worker_at[i], store_places_of(worker), places, keeper_layout::store_entries_max,
          "places in the keeper's store of descriptors");
  }
  for (std::size_t i = 0; i < draft.config.links.size(); ++i) {
    const LinkConfig& link = draft.config.links[i];
    const std::uint64_t journal = link.type == LinkType::queue ? 1 : 0;
    const std::uint64_t of_pair = places_of_pair + (link.lease_timeout ? 1 : 0);
    check(draft.link_at[i], of_pair * draft.pairs_of(link) + journal, places,
          keeper_layout::store_entries_max, "places in the keeper's store of descriptors");
  }
}

}  // namespace bulkhead::supervisor
