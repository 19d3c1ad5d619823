// `bulkhead version`: what exactly is running.
#include <elf.h>
#include <link.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <string>

#include "cli/commands.hpp"
#include "cli/commit.hpp"

namespace bulkhead::cli {
namespace {

// The linker's build-id of the main program, in hex: it lies in a note that is mapped with it.
int find_build_id(dl_phdr_info* object, std::size_t, void* result) {
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& header = object->dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    const auto* at = reinterpret_cast<const char*>(object->dlpi_addr + header.p_vaddr);
    const char* end = at + header.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      ElfW(Nhdr) note;
      std::memcpy(&note, at, sizeof(note));
      const char* name = at + sizeof(note);
      const char* id = name + (note.n_namesz + 3) / 4 * 4;
      if (note.n_type == NT_GNU_BUILD_ID && std::memcmp(name, "GNU", 4) == 0) {
        auto& hex = *static_cast<std::string*>(result);
        for (std::size_t byte = 0; byte < note.n_descsz; ++byte) {
          std::array<char, 3> digits{};
          std::snprintf(digits.data(), digits.size(), "%02x", static_cast<unsigned char>(id[byte]));
          hex += digits.data();
        }
        return 1;
      }
      at = id + (note.n_descsz + 3) / 4 * 4;
    }
  }
  return 1;  // the first object is the program itself: look no further
}

}  // namespace

std::string build_id() {
  std::string hex;
  ::dl_iterate_phdr(find_build_id, &hex);
  return hex.empty() ? "none" : hex;
}

Outcome version() {
  std::printf("bulkhead %s\nbuild-id %s\ncompiler %s\ncommit %s\n", BULKHEAD_VERSION,
              build_id().c_str(),
#ifdef __clang__
              __VERSION__,
#else
              "g++ " __VERSION__,
#endif
              commit().c_str());
  return Outcome::done;
}

}  // namespace bulkhead::cli
