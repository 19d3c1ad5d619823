#include "supervisor/crash_pages.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string>

namespace bulkhead::supervisor {

CrashPages::CrashPages(const Plan& plan, KeeperClient& keeper)
    : plan_(plan), keeper_(keeper), pages_(plan.instances.size()) {
  for (Slot slot = 0; slot < pages_.size(); ++slot) {
    pages_[slot] = keeper.take("crash/" + plan.instances[slot].name);
  }
}

Result<int> CrashPages::page(Slot slot) {
  auto& page = pages_[slot];
  if (page.is_open()) return page.get();
  const std::string& name = plan_.instances[slot].name;
  auto made = base::make_memfd(("crash:" + name).c_str(), true);
  if (!made) return made.error();
  // Not sealed against writing: every incarnation writes into the same page.
  if (::ftruncate(made->get(), ipc::crash_page_bytes) != 0 ||
      ::fcntl(made->get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return errno_error(errno, "make the crash page of " + name);
  }
  if (const auto kept = keeper_.put("crash/" + name, made->get()); !kept) return kept.error();
  page = std::move(*made);
  return page.get();
}

// One read: what a descendant of the dead worker still scribbles cannot change between a check and a use.
std::optional<ipc::CrashPage> CrashPages::read(Slot slot, Generation generation) const {
  if (!pages_[slot].is_open()) return std::nullopt;
  ipc::CrashPage found;
  if (::pread(pages_[slot].get(), &found, sizeof found, 0) != ssize_t{sizeof found}) {
    return std::nullopt;
  }
  return ipc::check_crash_page(found, generation);
}

}  // namespace bulkhead::supervisor
