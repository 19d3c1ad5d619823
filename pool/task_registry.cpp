#include "pool/task_registry.hpp"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "pool/zygote_wire.hpp"

namespace bulkhead {
namespace pool {
namespace {

// Made by the first registration, whichever translation unit that is in.
std::vector<detail::TaskFunction>& task_table() {
  static std::vector<detail::TaskFunction> table;
  return table;
}

// The first object of the list is the program itself.
int note_of_program(dl_phdr_info* info, std::size_t, void* to) {
  auto& word = *static_cast<ZygoteWord*>(to);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    const auto* at = reinterpret_cast<const char*>(info->dlpi_addr + header.p_vaddr);
    const auto* const end = at + header.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      ElfW(Nhdr) note;
      std::memcpy(&note, at, sizeof note);
      const auto* const name = at + sizeof note;
      const auto padded = [](std::size_t bytes) { return (bytes + 3) & ~std::size_t{3}; };
      const auto* const content = name + padded(note.n_namesz);
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
          std::memcmp(name, "GNU", 4) == 0) {
        word.build_id_bytes =
            static_cast<std::uint32_t>(std::min<std::size_t>(note.n_descsz, word.build_id.size()));
        std::memcpy(word.build_id.data(), content, word.build_id_bytes);
        return 1;
      }
      at = content + padded(note.n_descsz);
    }
  }
  return 1;
}

}  // namespace

std::uint32_t registered_tasks() noexcept {
  return static_cast<std::uint32_t>(task_table().size());
}

const detail::TaskFunction* find_task(std::uint32_t number) noexcept {
  return number < task_table().size() ? &task_table()[number] : nullptr;
}

void note_build_id(ZygoteWord& word) noexcept { ::dl_iterate_phdr(&note_of_program, &word); }

}  // namespace pool

namespace detail {

std::uint32_t register_task(const TaskFunction& function) {
  auto& table = pool::task_table();
  BULKHEAD_ASSERT(table.size() < UINT32_MAX);
  table.push_back(function);
  return static_cast<std::uint32_t>(table.size() - 1);
}

}  // namespace detail
}  // namespace bulkhead
