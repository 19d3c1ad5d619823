#include "supervisor/crash_pages.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <string>

namespace bulkhead::supervisor {

std::optional<ipc::CrashPage> check_crash_page(const ipc::CrashPage& as_found,
                                               Generation generation) {
  using ipc::CrashPage;
  using ipc::CrashStage;
  CrashPage page = as_found;
  const bool is_ours = page.magic == CrashPage::magic_value &&
                       page.version == CrashPage::version_value && page.generation == generation;
  const bool is_begun = page.stage >= static_cast<std::uint32_t>(CrashStage::cause) &&
                        page.stage <= static_cast<std::uint32_t>(CrashStage::whole);
  if (!is_ours || !is_begun) return std::nullopt;
  page.frame_count =
      std::min<std::uint32_t>(page.frame_count, static_cast<std::uint32_t>(ipc::crash_frames_max));
  page.module_count = std::min<std::uint32_t>(page.module_count,
                                              static_cast<std::uint32_t>(ipc::crash_modules_max));
  const auto end = [](auto& text) { text[sizeof text - 1] = '\0'; };
  end(page.thread_name);
  end(page.exception_type);
  end(page.exception_what);
  for (auto& module : page.modules) {
    end(module.path);
    module.build_id_bytes = std::min<std::uint8_t>(
        module.build_id_bytes, static_cast<std::uint8_t>(ipc::build_id_bytes_max));
  }
  return page;
}

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
  return check_crash_page(found, generation);
}

}  // namespace bulkhead::supervisor
