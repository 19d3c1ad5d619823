#include "supervisor/sealed_store.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <utility>

#include "ipc/sealed_memory.hpp"
#include "supervisor/descriptor_needs.hpp"

namespace bulkhead::supervisor {
namespace {

constexpr std::string_view sealed_prefix = "sealed/";  // then NUMBER/INSTANCE

// The keeper has raised ours to the hard one.
std::uint64_t descriptor_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

Error unknown(SealedTicket ticket) {
  return make_error(Errc::not_found, "sealed buffer " + std::to_string(ticket.number) +
                                         ": no worker has published it, or it was withdrawn");
}

}  // namespace

SealedStore::SealedStore(const Plan& plan, std::size_t pairs, KeeperClient& keeper)
    : plan_(plan),
      keeper_(keeper),
      all_max_(spare_places(plan.instances.size(), pairs, descriptor_limit()) / 2) {}

std::string SealedStore::tag(std::uint64_t number, const Entry& entry) const {
  return std::string(sealed_prefix) + std::to_string(number) + "/" +
         plan_.instances[entry.owner].name;
}

// In the order of their put, which is that of their publication. What belongs to an instance that is not
// in the plan, or is no sealed memory, is nothing that a brain before us stored.
void SealedStore::restore() {
  for (const auto& stored : keeper_.entries(sealed_prefix)) {
    const std::string_view rest = std::string_view(stored.tag).substr(sealed_prefix.size());
    std::uint64_t number = 0;
    const auto end = std::from_chars(rest.data(), rest.data() + rest.size(), number).ptr;
    const auto name = rest.substr(
        std::min<std::size_t>(rest.size(), static_cast<std::size_t>(end - rest.data()) + 1));
    const auto owner = std::find_if(plan_.instances.begin(), plan_.instances.end(),
                                    [&](const auto& instance) { return instance.name == name; });
    const auto bytes = ipc::check_sealed(stored.fd);
    if (owner == plan_.instances.end() || !bytes) continue;
    entries_.insert_or_assign(number, Entry{static_cast<Slot>(owner - plan_.instances.begin()),
                                            *bytes, next_order_++, keeper_.take(stored.tag)});
  }
}

Result<void> SealedStore::keep(Slot owner, SealedTicket ticket, base::UniqueFd memory) {
  const auto bytes = ipc::check_sealed(memory.get());
  if (!bytes) return bytes.error();
  if (*bytes != ticket.bytes) {
    return make_error(Errc::protocol_violation, "a ticket of " + std::to_string(ticket.bytes) +
                                                    " bytes came with " + std::to_string(*bytes) +
                                                    " bytes of memory");
  }
  if (const auto known = entries_.find(ticket.number); known != entries_.end()) {
    if (known->second.owner == owner && known->second.bytes == ticket.bytes) return {};
    return make_error(Errc::already_exists, "sealed buffer " + std::to_string(ticket.number));
  }
  const auto published = std::count_if(entries_.begin(), entries_.end(), [&](const auto& entry) {
    return entry.second.owner == owner;
  });
  if (static_cast<std::size_t>(published) >= buffers_max) {
    return make_error(Errc::out_of_budget, plan_.instances[owner].name + " has published " +
                                               std::to_string(buffers_max) +
                                               " sealed buffers; withdraw some first");
  }
  if (entries_.size() >= all_max_) {
    return make_error(Errc::out_of_budget,
                      "all workers together have published " + std::to_string(entries_.size()) +
                          " sealed buffers, half of what the limit of descriptors leaves; withdraw "
                          "some, or raise it (ulimit -Hn) before bulkhead run");
  }
  Entry entry{owner, *bytes, next_order_++, std::move(memory)};
  const auto stored = keeper_.put(tag(ticket.number, entry), entry.memory.get());
  if (!stored) return stored.error();
  entries_.emplace(ticket.number, std::move(entry));
  return {};
}

Result<int> SealedStore::find(SealedTicket ticket) const {
  const auto found = entries_.find(ticket.number);
  if (found == entries_.end() || found->second.bytes != ticket.bytes) return unknown(ticket);
  return found->second.memory.get();
}

Result<void> SealedStore::drop(Slot owner, SealedTicket ticket) {
  const auto found = entries_.find(ticket.number);
  if (found == entries_.end() || found->second.bytes != ticket.bytes) return {};
  if (found->second.owner != owner) {
    return make_error(Errc::not_permitted, "sealed buffer " + std::to_string(ticket.number) +
                                               " is " + plan_.instances[found->second.owner].name +
                                               "'s, who alone withdraws it");
  }
  if (const auto dropped = keeper_.drop(tag(ticket.number, found->second)); !dropped) {
    return dropped.error();
  }
  entries_.erase(found);
  return {};
}

std::vector<SealedTicket> SealedStore::of(Slot owner) const {
  std::map<std::uint64_t, SealedTicket> by_order;
  for (const auto& [number, entry] : entries_) {
    if (entry.owner == owner) by_order[entry.order] = {number, entry.bytes};
  }
  std::vector<SealedTicket> tickets;
  for (const auto& [order, ticket] : by_order) tickets.push_back(ticket);
  return tickets;
}

}  // namespace bulkhead::supervisor
