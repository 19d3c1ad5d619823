// The brain's typed access to the memory of incidents (incident_layout.hpp). Every call may be the last one
// before a SIGKILL; each comment says what the successor then finds. Decides nothing.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <string_view>

#include "base/fd.hpp"
#include "base/mapped_region.hpp"
#include "supervisor/incident_layout.hpp"

namespace bulkhead::supervisor {

using IncidentRecord = incident_layout::Record;
using IncidentDetail = incident_layout::Detail;

// Threads: one.
class IncidentStore {
 public:
  static Result<base::UniqueFd> create();  // fresh, sealed in size
  // Borrows the descriptor. Errors: version_mismatch for what another version wrote.
  static Result<IncidentStore> map(int fd);

  // Numbers it; its details are these. Killed inside: the incident never was, or is complete.
  std::uint64_t append(IncidentRecord, const ipc::CrashPage* report,  // null: none
                       std::string_view threads = {});
  // Killed inside: without them.
  void set_log(std::uint64_t number, std::string_view text);

  // Null for one that is overwritten or never was. What the pointer gives may be changed word by word.
  IncidentRecord* find(std::uint64_t number) noexcept;
  const IncidentRecord* find(std::uint64_t number) const noexcept;
  const IncidentDetail* detail(std::uint64_t number) const noexcept;
  std::uint64_t next() const noexcept;
  std::uint64_t oldest() const noexcept;

 private:
  IncidentStore() = default;
  incident_layout::Layout& layout() const noexcept;

  base::MappedRegion region_;
};

}  // namespace bulkhead::supervisor
