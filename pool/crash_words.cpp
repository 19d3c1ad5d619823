#include "pool/crash_words.hpp"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "ipc/crash_page.hpp"
#include "pool/ask_symboliser.hpp"

namespace bulkhead {
namespace pool {
namespace {

std::optional<ipc::CrashPage> page_in(std::span<const std::byte> report) {
  if (report.size() != sizeof(ipc::CrashPage)) return std::nullopt;
  ipc::CrashPage page;
  std::memcpy(static_cast<void*>(&page), report.data(), sizeof page);
  return ipc::check_crash_page(page, 1);
}

std::string build_id_in(const ipc::CrashModule& module) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < module.build_id_bytes; ++i) {
    text += digits[module.build_id[i] >> 4];
    text += digits[module.build_id[i] & 15];
  }
  return text;
}

// Beside this program, as it was built; else where commands are.
std::string symboliser_program() {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path ours = fs::read_symlink("/proc/self/exe", ignored);
  for (const fs::path& folder : {ours.parent_path(), ours.parent_path().parent_path() / "bin",
                                 fs::path("/usr/local/bin"), fs::path("/usr/bin")}) {
    const auto program = folder / "bulkhead-symboliser";
    if (::access(program.c_str(), X_OK) == 0) return program.string();
  }
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string program = folder + "/bulkhead-symboliser";
    if (!folder.empty() && ::access(program.c_str(), X_OK) == 0) return program;
  }
  return "";
}

void name_frames(std::vector<TaskFrame>& frames, const std::vector<std::string>& build_ids) {
  const std::string program = symboliser_program();
  if (program.empty()) return;
  auto modules = nlohmann::json::array();
  for (std::size_t i = 0; i < frames.size(); ++i) {
    modules.push_back(
        {{"path", frames[i].module}, {"build_id", build_ids[i]}, {"offsets", {frames[i].offset}}});
  }
  const auto answer = ask_symboliser(program, {{"modules", std::move(modules)}});
  if (!answer) return;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const auto place =
        answer->value(nlohmann::json::json_pointer("/modules/" + std::to_string(i) + "/places/0/0"),
                      nlohmann::json());
    if (!place.is_object()) continue;
    frames[i].function = place.value("function", "");
    frames[i].file = place.value("file", "");
    frames[i].line = place.value("line", 0);
  }
}

}  // namespace

DeathWords death_in_words(std::span<const std::byte> report, int pid, int signal) {
  const auto page = page_in(report);
  if (!page || page->signal != signal) return {ipc::name_of_signal(signal), false, false};
  return {ipc::crash_in_words(*page, pid), true,
          page->has_exception != 0 && std::strcmp(page->exception_type, "std::bad_alloc") == 0};
}

}  // namespace pool

std::string TaskFailure::in_words() const {
  if (thrown.empty()) {
    // The pool's own sentences say all; those of a task, and of the system, need what the code says.
    const bool says_all = cause != FailureCause::error && !error.context.empty() &&
                          error.code.category() == bulkhead_category();
    return says_all ? error.context : error.to_string();
  }
  std::string words;
  for (const auto& each : thrown) {
    if (!words.empty()) words += "; because of ";
    words += each.type + (each.what.empty() ? "" : ": " + each.what);
  }
  return words;
}

std::vector<TaskFrame> TaskFailure::backtrace() const {
  const auto page = pool::page_in(crash);
  if (!page) return {};
  std::vector<TaskFrame> frames;
  std::vector<std::string> build_ids;
  for (std::uint32_t i = 0; i < page->frame_count; ++i) {
    // Callers: the call is before the address to which it returns.
    const std::uint64_t address = page->frames[i];
    for (std::uint32_t m = 0; m < page->module_count; ++m) {
      const auto& module = page->modules[m];
      if (address < module.begin || address >= module.end) continue;
      frames.push_back({module.path, address - module.base, "", "", 0});
      build_ids.push_back(pool::build_id_in(module));
      break;
    }
  }
  pool::name_frames(frames, build_ids);
  return frames;
}

}  // namespace bulkhead
