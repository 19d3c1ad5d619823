// Sync points:
//   tag               writer -> reader        visible then               a kill in between leaves
//   incident.number   brain -> next brain     the record, or the detail  one that never was
//   incident.next     brain -> next brain     the incident               likewise: its number is given again
#include "supervisor/incident_store.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace bulkhead::supervisor {
namespace {

using incident_layout::Layout;

// The number comes first in both kinds; 0 while the rest is being written (N1).
template <class Kept>
void publish(Kept& place, const Kept& value) noexcept {
  std::atomic_ref number(place.number);
  number.store(0, std::memory_order_relaxed);  // relaxed: ordered by the fence
  // sync incident.number: release fence; pairs with acquire in counts(); nobody sees the old number with new words
  std::atomic_thread_fence(std::memory_order_release);
  std::memcpy(reinterpret_cast<char*>(&place) + sizeof(std::uint64_t),
              reinterpret_cast<const char*>(&value) + sizeof(std::uint64_t),
              sizeof(Kept) - sizeof(std::uint64_t));
  // sync incident.number: release; pairs with acquire in counts(); publishes what was copied
  number.store(value.number, std::memory_order_release);
}

template <class Kept>
bool counts(Kept& place, std::uint64_t number) noexcept {
  // sync incident.number: acquire; pairs with release in publish(); shows what was copied
  return number != 0 && std::atomic_ref(place.number).load(std::memory_order_acquire) == number;
}

}  // namespace

Result<base::UniqueFd> IncidentStore::create() {
  auto fd = base::make_memfd("bulkhead-incidents", true);
  if (!fd) return fd.error();
  if (::ftruncate(fd->get(), sizeof(Layout)) != 0 ||
      ::fcntl(fd->get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return errno_error(errno, "make the memory of incidents");
  }
  auto region = base::MappedRegion::map(fd->get(), sizeof(Layout), base::Access::read_write);
  if (!region) return region.error();
  auto& layout = *reinterpret_cast<Layout*>(region->data());
  layout.header.magic = incident_layout::magic;
  layout.header.bytes = sizeof(Layout);
  return std::move(*fd);
}

Result<IncidentStore> IncidentStore::map(int fd) {
  const auto size = base::file_size(fd);
  if (!size) return size.error();
  if (*size != sizeof(Layout)) {
    return make_error(Errc::version_mismatch, "the memory of incidents has " +
                                                  std::to_string(*size) + " bytes, not " +
                                                  std::to_string(sizeof(Layout)));
  }
  auto region = base::MappedRegion::map(fd, sizeof(Layout), base::Access::read_write);
  if (!region) return region.error();
  IncidentStore store;
  store.region_ = std::move(*region);
  const auto& header = store.layout().header;
  if (header.magic != incident_layout::magic || header.bytes != sizeof(Layout)) {
    return make_error(Errc::version_mismatch, "another version wrote the memory of incidents");
  }
  return store;
}

Layout& IncidentStore::layout() const noexcept {
  return *reinterpret_cast<Layout*>(region_.data());
}

std::uint64_t IncidentStore::next() const noexcept {
  // sync incident.next: acquire; pairs with release in append(); shows the incidents before it
  return std::max<std::uint64_t>(layout().header.next.load(std::memory_order_acquire), 1);
}

std::uint64_t IncidentStore::oldest() const noexcept {
  const auto after = next();
  return after > incident_layout::record_count ? after - incident_layout::record_count : 1;
}

std::uint64_t IncidentStore::append(IncidentRecord record, const ipc::CrashPage* report,
                                    std::string_view threads) {
  const auto number = next();
  record.number = number;
  record.has_report = report != nullptr ? 1 : 0;
  auto& place = layout().details[number % incident_layout::detail_count];
  std::atomic_ref kept(place.number);
  kept.store(0, std::memory_order_relaxed);  // relaxed: ordered by the fence
  // sync incident.number: release fence; pairs with acquire in counts(); the old number goes before its words
  std::atomic_thread_fence(std::memory_order_release);
  place.logs = static_cast<std::uint32_t>(incident_layout::Logs::asked);
  place.log_bytes = 0;
  place.threads_bytes =
      threads.size() <= place.threads.size() ? static_cast<std::uint32_t>(threads.size()) : 0;
  std::copy_n(threads.begin(), place.threads_bytes, place.threads.begin());
  if (report != nullptr) place.report = *report;
  // sync incident.number: release; pairs with acquire in counts(); publishes the detail
  kept.store(number, std::memory_order_release);
  publish(layout().records[number % incident_layout::record_count], record);
  // sync incident.next: release; pairs with acquire in next(); publishes the incident
  layout().header.next.store(number + 1, std::memory_order_release);
  return number;
}

void IncidentStore::set_log(std::uint64_t number, std::string_view text) {
  auto& place = layout().details[number % incident_layout::detail_count];
  if (!counts(place, number)) return;
  const std::size_t bytes = std::min(text.size(), place.log.size());
  std::copy_n(text.begin(), bytes, place.log.begin());
  place.log_bytes = static_cast<std::uint32_t>(bytes);
  // sync incident.number: release; pairs with acquire in detail(); publishes the lines
  std::atomic_ref(place.logs)
      .store(static_cast<std::uint32_t>(incident_layout::Logs::there), std::memory_order_release);
}

IncidentRecord* IncidentStore::find(std::uint64_t number) noexcept {
  auto& place = layout().records[number % incident_layout::record_count];
  return number < next() && counts(place, number) ? &place : nullptr;
}

const IncidentRecord* IncidentStore::find(std::uint64_t number) const noexcept {
  auto& place = layout().records[number % incident_layout::record_count];
  return number < next() && counts(place, number) ? &place : nullptr;
}

const IncidentDetail* IncidentStore::detail(std::uint64_t number) const noexcept {
  auto& place = layout().details[number % incident_layout::detail_count];
  return number < next() && counts(place, number) ? &place : nullptr;
}

}  // namespace bulkhead::supervisor
