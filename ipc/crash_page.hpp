// Where a worker of the runtime says what it died of: written by its signal handler, read by the brain after the
// death. Used by the worker runtime, the brain and tests; must not know where the page comes from.
//
// The brain makes the page, one per instance, sealed in size and held by the keeper; each incarnation maps it
// writable, one after the other. For the brain it is untrusted input: copy it whole, check, use the copy.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

namespace bulkhead::ipc {

inline constexpr std::size_t crash_page_bytes = std::size_t{12} << 10;
inline constexpr std::size_t crash_frames_max = 64, crash_modules_max = 30;
inline constexpr std::size_t build_id_bytes_max = 20;

enum class CrashAccess : std::uint32_t { unknown = 0, read = 1, write = 2, execute = 3 };

// How far the handler got. What is before it in this list is complete.
enum class CrashStage : std::uint32_t {
  none = 0,
  cause = 1,   // signal, address, registers, the innermost frame
  frames = 2,  // and the frames that could be walked
  whole = 3,   // and their modules
};

struct CrashModule {   // a program or library that a frame lies in
  std::uint64_t base;  // an address minus this is one in the file
  std::uint64_t begin, end;
  std::uint8_t build_id_bytes;
  std::uint8_t build_id[build_id_bytes_max];
  char path[203];  // ends with a zero
};
static_assert(sizeof(CrashModule) == 248);

//   | magic, version, generation, stage | signal, registers, … | texts | frames | modules |
//
// One writer, which stores `stage` and the counts after what they stand for: what a handler that was killed had
// written is complete as far as they say. The reader comes after the death, and the kernel orders that.
struct CrashPage {
  static constexpr std::uint32_t magic_value = 0x31434842;  // "BHC1"
  static constexpr std::uint32_t version_value = 1;

  std::uint32_t magic, version;
  std::uint32_t generation;   // of the incarnation that began it
  std::uint32_t stage;        // CrashStage
  std::int32_t signal, code;  // si_signo, si_code
  std::int32_t thread;
  std::int32_t sender;   // si_pid of a signal that was sent; 0 otherwise
  std::uint32_t access;  // CrashAccess
  std::uint32_t stack_overflow;
  std::uint64_t address;  // si_addr; of SIGSYS the number of the system call
  std::uint64_t pc, sp, fp;
  std::uint64_t t_ns;
  std::uint32_t frame_count, module_count;
  std::uint32_t has_exception;
  std::uint32_t unused;
  char thread_name[16];
  char exception_type[128], exception_what[512];  // end with a zero; cut where longer
  // Innermost first. The first is the instruction that failed, the others lie within the call that is under way.
  std::uint64_t frames[crash_frames_max];
  CrashModule modules[crash_modules_max];
};
static_assert(sizeof(CrashPage) <= crash_page_bytes && std::is_trivially_copyable_v<CrashPage>);

// A copy in which every count is within its bounds and every text ends. nullopt: nothing that this incarnation wrote.
std::optional<CrashPage> check_crash_page(const CrashPage& as_found, std::uint32_t generation);

// Of a checked page, "SIGSEGV reading 0x0", "abort: uncaught std::runtime_error: what", "SIGTERM from pid 123".
// `of` is who died. Texts are as the dead one wrote them.
std::string crash_in_words(const CrashPage&, pid_t of);
std::string name_of_signal(int signal);  // "SIGKILL"
std::string hexadecimal(std::uint64_t);  // "0xff"

}  // namespace bulkhead::ipc
