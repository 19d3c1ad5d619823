#include "supervisor/fd_store.hpp"

#include <linux/kcmp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "supervisor/descriptor_needs.hpp"

namespace bulkhead::supervisor {
namespace {

// Then "p" (polled) or "k" (kept), the number, and "/INSTANCE/NAME".
constexpr std::string_view stored_prefix = "stored/";
constexpr int first_passed_fd = 3;

std::uint64_t descriptor_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

// A kernel without CONFIG_KCMP cannot tell, and then a file may be stored twice.
bool is_same_file(int one, int other) {
  const long self = ::getpid();
  return ::syscall(SYS_kcmp, self, self, static_cast<long>(KCMP_FILE), static_cast<long>(one),
                   static_cast<long>(other)) == 0;
}

bool has_hung_up(int fd) {
  pollfd polled{fd, 0, 0};
  return ::poll(&polled, 1, 0) == 1 && (polled.revents & (POLLHUP | POLLERR)) != 0;
}

}  // namespace

FdStore::FdStore(const SystemConfig& config, const Plan& plan, std::size_t pairs,
                 KeeperClient& keeper)
    : config_(config),
      plan_(plan),
      keeper_(keeper),
      all_max_(spare_places(plan.instances.size(), pairs, descriptor_limit()) / 4) {
  for (const auto& stored : keeper.entries(stored_prefix)) {
    const std::string_view rest = std::string_view(stored.tag).substr(stored_prefix.size());
    const auto number_end = rest.find('/'), owner_end = rest.find('/', number_end + 1);
    if (rest.size() < 2 || number_end == rest.npos || owner_end == rest.npos) continue;
    std::uint64_t number = 0;
    std::from_chars(rest.data() + 1, rest.data() + number_end, number);
    const auto name = rest.substr(number_end + 1, owner_end - number_end - 1);
    const auto owner = std::find_if(plan.instances.begin(), plan.instances.end(),
                                    [&](const auto& instance) { return instance.name == name; });
    if (owner == plan.instances.end()) continue;  // of a reload, which has let go of it
    entries_.insert_or_assign(number, Entry{static_cast<Slot>(owner - plan.instances.begin()),
                                            std::string(rest.substr(owner_end + 1)), rest[0] == 'p',
                                            keeper.take(stored.tag)});
  }
}

std::string FdStore::tag(std::uint64_t number, const Entry& entry) const {
  return std::string(stored_prefix) + (entry.polled ? "p" : "k") + std::to_string(number) + "/" +
         plan_.instances[entry.owner].name + "/" + entry.name;
}

// They are passed on after the sockets, and must not reach the number that is meant for readiness.
std::size_t FdStore::room(Slot slot) const {
  const WorkerConfig& worker = config_.workers[plan_.instances[slot].worker_index];
  if (worker.ready.type != ReadyType::fd) return per_instance_max;
  const auto first = first_passed_fd + worker.sockets.size();
  return std::min(per_instance_max, static_cast<std::size_t>(worker.ready.fd) - first);
}

Result<void> FdStore::keep(Slot owner, base::UniqueFd fd, const std::string& name, bool polled) {
  for (const auto& [number, entry] : entries_) {
    if (entry.owner == owner && is_same_file(entry.fd.get(), fd.get())) return {};
  }
  if (count(owner) >= room(owner)) {
    return make_error(Errc::out_of_budget,
                      "FDSTORE=1: it has stored " + std::to_string(count(owner)) +
                          " descriptors, as many as it may; FDSTOREREMOVE=1 lets go of some");
  }
  if (entries_.size() >= all_max_) {
    return make_error(
        Errc::out_of_budget,
        "FDSTORE=1: all workers together have stored " + std::to_string(entries_.size()) +
            " descriptors, a quarter of what the limit of descriptors leaves; raise it "
            "(ulimit -Hn) before bulkhead run");
  }
  const std::uint64_t number = entries_.empty() ? 1 : entries_.rbegin()->first + 1;
  Entry entry{owner, name, polled, std::move(fd)};
  if (auto stored = keeper_.put(tag(number, entry), entry.fd.get()); !stored) return stored;
  entries_.emplace(number, std::move(entry));
  return {};
}

template <class Predicate>
void FdStore::drop_if(Predicate&& is_over) {
  std::erase_if(entries_, [&](const auto& known) {
    if (!is_over(known.second)) return false;
    (void)keeper_.drop(tag(known.first, known.second));  // fails only when the keeper is gone
    return true;
  });
}

void FdStore::drop(Slot slot, const std::string& name) {
  drop_if([&](const Entry& entry) { return entry.owner == slot && entry.name == name; });
}

void FdStore::drop_all(Slot slot) {
  drop_if([&](const Entry& entry) { return entry.owner == slot; });
}

std::vector<StoredDescriptor> FdStore::of(Slot slot) {
  drop_if([&](const Entry& entry) {
    return entry.owner == slot && entry.polled && has_hung_up(entry.fd.get());
  });
  std::vector<StoredDescriptor> stored;
  for (const auto& [number, entry] : entries_) {
    if (entry.owner == slot && stored.size() < room(slot))
      stored.push_back({entry.fd.get(), entry.name});
  }
  return stored;
}

std::size_t FdStore::count(Slot slot) const {
  return static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(),
                    [&](const auto& known) { return known.second.owner == slot; }));
}

}  // namespace bulkhead::supervisor
