// Groups: who restarts with whom, and what of that cannot be meant.
#include <algorithm>

#include "base/nearest.hpp"
#include "base/units.hpp"
#include "supervisor/config_draft.hpp"
#include "supervisor/config_keys.hpp"

namespace bulkhead::supervisor {
namespace {

using json_source::in_quotes;

constexpr std::size_t nowhere = ~std::size_t{0};
constexpr std::uint64_t any_number = ~std::uint64_t{0};

// All groups, while it is found out how they hang together.
class GroupReader {
 public:
  explicit GroupReader(Draft& draft) : draft_(draft), groups_(draft.config.groups) {}

  void read(const At& at);

 private:
  struct Place {  // beside groups_: where each stands, and what it hangs on
    At at;
    std::vector<At> members;
    std::size_t parent = nowhere;
    bool limit_to_check = false, states_then = false;
  };

  void read_group(const At&, GroupConfig&, Place&);
  void adopt_members(std::size_t group);
  void unknown_member(const At&, const std::string& name) const;
  std::size_t find(const std::string& group) const;
  bool has_cycles();
  void check_limit(std::size_t group) const;
  std::uint64_t failures_within(std::size_t group, Duration) const;

  Draft& draft_;
  std::vector<GroupConfig>& groups_;
  std::vector<Place> places_;
  std::map<std::string, std::string, std::less<>> group_of_;  // worker or group -> its group
};

bool states_limit(const Draft& draft, std::size_t worker) {
  const auto* restart = draft.worker_at[worker].value->find("restart");
  return draft.defaults_state_limit ||
         (restart != nullptr && restart->value.find("limit") != nullptr);
}

void GroupReader::read(const At& at) {
  for (const auto& [name, name_at, group_at] : entries(at)) {
    check_name(name_at, group_at, name, "a group");
    if (draft_.find_worker(name) != nullptr) {
      group_at.issues->add(
          name_at, group_at.pointer,
          in_quotes(name) + " is the name of a worker, too (expected a name of its own)");
    }
    GroupConfig& group = groups_.emplace_back();
    group.name = name;
    places_.push_back({group_at, {}, nowhere, false, false});
    read_group(group_at, group, places_.back());
  }
  if (groups_.size() > groups_max) {
    at.wrong(std::to_string(groups_.size()) + " groups (expected at most " +
             std::to_string(groups_max) + ")");
  }
  for (std::size_t group = 0; group < groups_.size(); ++group) adopt_members(group);
  // How often members restart is the group's business, unless they say themselves how often.
  for (std::size_t worker = 0; worker < draft_.config.workers.size(); ++worker) {
    WorkerConfig& config = draft_.config.workers[worker];
    if (group_of_.contains(config.name) && !states_limit(draft_, worker)) {
      config.restart.limit.reset();
    }
  }
  for (std::size_t group = 0; group < groups_.size(); ++group) {
    const bool nested = places_[group].parent != nowhere;
    if (groups_[group].limit && nested && !places_[group].states_then) {
      groups_[group].limit->then = LimitThen::escalate;
    }
  }
  if (has_cycles()) return;
  for (std::size_t group = 0; group < groups_.size(); ++group) check_limit(group);
}

void GroupReader::read_group(const At& at, GroupConfig& group, Place& place) {
  const ObjectAt section(at, config_keys::group);
  if (at.value->type != json_source::Value::Type::object) return;
  if (const auto found = section.find("strategy")) {
    keep(group.strategy, read_enum(*found, config_keys::group_strategy));
  }
  if (const auto found = section.find("limit")) {
    const std::size_t findings = draft_.issues.size();
    read_limit(*found, group.limit);
    place.limit_to_check = draft_.issues.size() == findings;
    place.states_then = found->value->find("then") != nullptr;
  }
  const auto members = section.find("members");
  if (!members) {
    return section.missing("members", R"(expected the group's workers, such as ["store", "echo"])");
  }
  const auto all = elements(*members, R"(expected ["worker", "another"])");
  if (members->value->type == json_source::Value::Type::array && all.empty()) {
    members->wrong(R"(an empty group (expected workers, such as ["store", "echo"]))");
  }
  for (const At& member : all) {
    const auto name = read_text(member, R"("worker")");
    if (!name) continue;
    group.members.push_back(*name);
    place.members.push_back(member);
  }
}

std::size_t GroupReader::find(const std::string& name) const {
  for (std::size_t group = 0; group < groups_.size(); ++group) {
    if (groups_[group].name == name) return group;
  }
  return nowhere;
}

void GroupReader::adopt_members(std::size_t group) {
  for (std::size_t i = 0; i < groups_[group].members.size(); ++i) {
    const std::string& name = groups_[group].members[i];
    const At& at = places_[group].members[i];
    const std::size_t nested = find(name);
    if (draft_.find_worker(name) == nullptr && nested == nowhere) {
      unknown_member(at, name);
      places_[group].limit_to_check = false;
      continue;
    }
    const auto [owner, is_new] = group_of_.emplace(name, groups_[group].name);
    if (!is_new) {
      at.wrong(in_quotes(name) + " is a member of group " + in_quotes(owner->second) +
               " already (expected it in one group, once: remove it from one of the two)");
    } else if (draft_.find_worker(name) == nullptr) {
      places_[nested].parent = group;
    }
  }
}

void GroupReader::unknown_member(const At& at, const std::string& name) const {
  std::vector<std::string_view> names;
  for (const WorkerConfig& worker : draft_.config.workers) names.push_back(worker.name);
  for (const GroupConfig& group : groups_) names.push_back(group.name);
  const auto near = base::nearest(name, names);
  at.wrong("unknown member " + in_quotes(name) +
           (near ? " (did you mean " + in_quotes(*near) + "?)"
                 : " (expected the name of a worker or of another group)"));
}

// Each group has one parent, so a cycle leads from a group upwards back to it; it is told where the
// first of its groups stands.
bool GroupReader::has_cycles() {
  bool found = false;
  for (std::size_t start = 0; start < groups_.size(); ++start) {
    std::vector<std::size_t> upwards;
    for (std::size_t at = places_[start].parent; at != nowhere && at != start;
         at = places_[at].parent) {
      if (upwards.size() == groups_.size()) break;  // into a cycle that start is not part of
      upwards.push_back(at);
    }
    const std::size_t top = upwards.empty() ? start : upwards.back();
    if (places_[top].parent != start) continue;
    found = true;
    if (!upwards.empty() && *std::min_element(upwards.begin(), upwards.end()) < start) continue;
    std::string text = groups_[start].name;
    for (auto at = upwards.rbegin(); at != upwards.rend(); ++at) text += " -> " + groups_[*at].name;
    const std::string& next = groups_[top].name;
    const auto& members = groups_[start].members;
    const auto member = std::find(members.begin(), members.end(), next) - members.begin();
    places_[start].members[static_cast<std::size_t>(member)].wrong(
        (upwards.empty() ? "the group is a member of itself: " : "groups in a cycle: ") + text +
        " -> " + groups_[start].name + " (remove one of these members)");
  }
  return found;
}

// The failures of one instance that count in its group, and no more than `most` of them.
std::uint64_t failures_of(const Restart& restart, Duration within, std::uint64_t most) {
  if (restart.policy == RestartPolicy::never) return 0;
  if (restart.limit) {
    if (restart.limit->then == LimitThen::escalate) return any_number;
    const auto windows = static_cast<std::uint64_t>(within / restart.limit->within) + 1;
    most = std::min(most, windows * restart.limit->count);
  }
  std::uint64_t fewest = 1;
  while (fewest < most) {  // the largest number whose last one still lies within
    const std::uint64_t tried = (fewest + most + 1) / 2;
    const bool fits = shortest_failures(restart.backoff, static_cast<std::uint32_t>(tried - 1)) <
                      static_cast<double>(within.count());
    if (fits) {
      fewest = tried;
    } else {
      most = tried - 1;
    }
  }
  return std::min(fewest, most);
}

std::uint64_t GroupReader::failures_within(std::size_t group, Duration within) const {
  constexpr std::uint64_t enough = restart_history_max + 1;
  std::uint64_t total = 0;
  for (const std::string& name : groups_[group].members) {
    if (const WorkerConfig* worker = draft_.find_worker(name)) {
      const std::uint64_t each = failures_of(worker->restart, within, enough);
      total += std::min(each, enough) * worker->instances;
    } else if (const std::size_t nested = find(name);
               nested != nowhere && places_[nested].parent == group) {
      const auto& limit = groups_[nested].limit;
      if (limit && limit->then != LimitThen::escalate) continue;
      const std::uint64_t inside = failures_within(nested, within);
      total += limit ? inside / (limit->count + 1) : inside;
    }
  }
  return std::min(total, enough);
}

// Only of a limit that the file states, as for workers.
void GroupReader::check_limit(std::size_t group) const {
  const auto& limit = groups_[group].limit;
  if (!limit || !places_[group].limit_to_check || groups_[group].members.empty()) return;
  const std::uint64_t most = failures_within(group, limit->within);
  if (most > limit->count) return;
  const At& at = places_[group].at;
  const At limit_at = at.member(*at.value->find("limit"));
  if (most == 0) {
    return limit_at.wrong(
        "a limit that can never trip: none of the members is restarted for a failure (remove it)");
  }
  limit_at.wrong("a limit that can never trip: the members can fail at most " +
                 std::to_string(most) + (most == 1 ? " time" : " times") + " within \"" +
                 base::format_duration(limit->within) + "\", and " + std::to_string(limit->count) +
                 " are fine (expected " +
                 (most > 1 ? "a count of at most " + std::to_string(most - 1) + ", " : "") +
                 "a longer \"within\", or limit \"none\")");
}

}  // namespace

void read_groups(Draft& draft, const At& at) { GroupReader(draft).read(at); }

}  // namespace bulkhead::supervisor
