// Walks with the unwinder of the C++ runtime, which reads .eh_frame and needs no frame pointers. It finds tables by
// _dl_find_object, which takes no lock (glibc 2.35).
#include "workers/crash_walk.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <atomic>
#include <cstring>

namespace bulkhead::workers {
namespace {

using ipc::CrashModule;
using ipc::CrashPage;

char program_path[sizeof CrashModule::path];  // the dynamic linker knows it as ""

struct Walk {
  CrashPage& page;
  std::uint64_t from;  // the interrupted instruction: what is below it is the handler
  bool has_begun = false;
};

_Unwind_Reason_Code take_frame(_Unwind_Context* context, void* argument) {
  auto& walk = *static_cast<Walk*>(argument);
  int is_exact = 0;
  std::uint64_t pc = _Unwind_GetIPInfo(context, &is_exact);
  if (!walk.has_begun) {
    if (pc != walk.from || is_exact == 0) return _URC_NO_REASON;
    walk.has_begun = true;
    return _URC_NO_REASON;  // stands there already
  }
  if (pc == 0) return _URC_END_OF_STACK;
  if (is_exact == 0)
    --pc;  // a return address: the call is before it, maybe at the end of its function
  CrashPage& page = walk.page;
  if (page.frame_count == ipc::crash_frames_max) return _URC_END_OF_STACK;
  page.frames[page.frame_count] = pc;
  // A fault further on comes to this very thread, so only the compiler has to keep the order.
  // sync crash.stage: fence; pairs with the one in reached(); publishes the frame
  std::atomic_signal_fence(std::memory_order_seq_cst);
  ++page.frame_count;
  return _URC_NO_REASON;
}

_Unwind_Reason_Code stop_at_once(_Unwind_Context*, void*) { return _URC_END_OF_STACK; }

// False where that memory is not there; a plain read would be a fault.
bool peek(std::uint64_t address, void* to, std::size_t bytes) noexcept {
  iovec ours{to, bytes};
  iovec theirs{reinterpret_cast<void*>(address), bytes};
  return ::process_vm_readv(::getpid(), &ours, 1, &theirs, 1, 0) == static_cast<ssize_t>(bytes);
}

bool is_code(std::uint64_t address) noexcept {
  dl_find_object found{};
  return ::_dl_find_object(reinterpret_cast<void*>(address), &found) == 0;
}

#if defined(__x86_64__)
greg_t& slot(ucontext_t& context, int name) noexcept { return context.uc_mcontext.gregs[name]; }

// As if the function at the bad address had returned at once. The registers are put back afterwards, for a debugger
// that looks at the core.
void walk_from_caller(ucontext_t& context, CrashPage& page) noexcept {
  const greg_t pc = slot(context, REG_RIP), sp = slot(context, REG_RSP);
  std::uint64_t caller = 0;
  if (!peek(static_cast<std::uint64_t>(sp), &caller, sizeof caller) || !is_code(caller)) return;
  page.frames[page.frame_count++] = caller - 1;
  slot(context, REG_RIP) = static_cast<greg_t>(caller);
  slot(context, REG_RSP) = sp + static_cast<greg_t>(sizeof caller);
  Walk walk{page, caller};
  _Unwind_Backtrace(take_frame, &walk);
  slot(context, REG_RIP) = pc;
  slot(context, REG_RSP) = sp;
}
#elif defined(__aarch64__)
void walk_from_caller(ucontext_t& context, CrashPage& page) noexcept {
  const auto pc = context.uc_mcontext.pc;
  const std::uint64_t caller = context.uc_mcontext.regs[30];
  if (!is_code(caller)) return;
  page.frames[page.frame_count++] = caller - 1;
  context.uc_mcontext.pc = caller;
  Walk walk{page, caller};
  _Unwind_Backtrace(take_frame, &walk);
  context.uc_mcontext.pc = pc;
}
#else
void walk_from_caller(ucontext_t&, CrashPage&) noexcept {}
#endif

// The note of the linker, in the file's headers as they lie in memory.
void find_build_id(CrashModule& module) noexcept {
  ElfW(Ehdr) header{};
  if (!peek(module.begin, &header, sizeof header)) return;
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return;
  for (unsigned i = 0; i < std::min<unsigned>(header.e_phnum, 64); ++i) {
    ElfW(Phdr) part{};
    if (!peek(module.begin + header.e_phoff + i * sizeof part, &part, sizeof part)) return;
    if (part.p_type != PT_NOTE) continue;
    std::uint64_t at = module.base + part.p_vaddr;
    const std::uint64_t end = at + part.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      ElfW(Nhdr) note{};
      if (!peek(at, &note, sizeof note)) return;
      const std::uint64_t name = at + sizeof note;
      const std::uint64_t value = name + ((note.n_namesz + 3U) & ~3U);
      char owner[4] = {};
      const bool is_gnu = note.n_namesz == sizeof owner && peek(name, owner, sizeof owner) &&
                          std::memcmp(owner, ELF_NOTE_GNU, sizeof owner) == 0;
      if (is_gnu && note.n_type == NT_GNU_BUILD_ID) {
        const auto bytes = std::min<std::size_t>(note.n_descsz, ipc::build_id_bytes_max);
        if (peek(value, module.build_id, bytes)) {
          module.build_id_bytes = static_cast<std::uint8_t>(bytes);
        }
        return;
      }
      at = value + ((note.n_descsz + 3U) & ~3U);
    }
  }
}

void copy_path(CrashModule& module, const char* name) noexcept {
  if (name == nullptr || *name == '\0') name = program_path;
  std::size_t length = 0;
  while (length + 1 < sizeof module.path && name[length] != '\0') ++length;
  std::memcpy(module.path, name, length);
  module.path[length] = '\0';
}

}  // namespace

#if defined(__x86_64__)
Registers registers_of(const ucontext_t& context) noexcept {
  const auto& all = context.uc_mcontext.gregs;
  return {static_cast<std::uint64_t>(all[REG_RIP]), static_cast<std::uint64_t>(all[REG_RSP]),
          static_cast<std::uint64_t>(all[REG_RBP])};
}

ipc::CrashAccess access_of(const ucontext_t& context) noexcept {
  constexpr greg_t page_fault = 14, by_write = 2, by_fetch = 16;
  const auto& all = context.uc_mcontext.gregs;
  if (all[REG_TRAPNO] != page_fault) return ipc::CrashAccess::unknown;
  if ((all[REG_ERR] & by_fetch) != 0) return ipc::CrashAccess::execute;
  return (all[REG_ERR] & by_write) != 0 ? ipc::CrashAccess::write : ipc::CrashAccess::read;
}
#elif defined(__aarch64__)
Registers registers_of(const ucontext_t& context) noexcept {
  return {context.uc_mcontext.pc, context.uc_mcontext.sp, context.uc_mcontext.regs[29]};
}
ipc::CrashAccess access_of(const ucontext_t&) noexcept { return ipc::CrashAccess::unknown; }
#else
Registers registers_of(const ucontext_t&) noexcept { return {}; }
ipc::CrashAccess access_of(const ucontext_t&) noexcept { return ipc::CrashAccess::unknown; }
#endif

void name_of_thread(char (&name)[16]) noexcept { ::prctl(PR_GET_NAME, name); }

void prepare_walk() noexcept {
  const ssize_t length = ::readlink("/proc/self/exe", program_path, sizeof program_path - 1);
  program_path[length > 0 ? length : 0] = '\0';
  _Unwind_Backtrace(stop_at_once, nullptr);
}

void walk(ucontext_t& context, CrashPage& page) noexcept {
  if (!is_code(page.pc)) return walk_from_caller(context, page);
  Walk walk{page, page.pc};
  _Unwind_Backtrace(take_frame, &walk);
}

void note_modules(CrashPage& page) noexcept {
  for (std::uint32_t i = 0; i < page.frame_count; ++i) {
    const std::uint64_t pc = page.frames[i];
    const auto* const end = page.modules + page.module_count;
    const bool is_known =
        std::any_of(page.modules, page.modules + page.module_count,
                    [&](const CrashModule& m) { return pc >= m.begin && pc < m.end; });
    if (is_known || end == page.modules + ipc::crash_modules_max) continue;
    dl_find_object found{};
    if (::_dl_find_object(reinterpret_cast<void*>(pc), &found) != 0) continue;
    CrashModule& module = page.modules[page.module_count];
    module = {};
    module.base = found.dlfo_link_map->l_addr;
    module.begin = reinterpret_cast<std::uint64_t>(found.dlfo_map_start);
    module.end = reinterpret_cast<std::uint64_t>(found.dlfo_map_end);
    copy_path(module, found.dlfo_link_map->l_name);
    find_build_id(module);
    ++page.module_count;
  }
}

}  // namespace bulkhead::workers
