// Installing the handlers, and what they do when a signal comes.
#include "workers/crash_reporter.hpp"

#include <cxxabi.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <utility>

#include "base/mapped_region.hpp"
#include "ipc/crash_page.hpp"
#include "workers/crash_walk.hpp"

namespace bulkhead::workers {
namespace {

using ipc::CrashPage;
using ipc::CrashStage;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif
#else
constexpr bool sanitized = false;
#endif

constexpr std::size_t stack_bytes = std::size_t{64} << 10, guard_bytes = 4096;
constexpr int patience_looks = 1000;  // of a thread that crashes beside another: a second
constexpr int reported[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};

// What the handler needs, made beforehand. Constant from the first handler on.
struct Ground {
  CrashPage* page = nullptr;
  pid_t process = 0;
};
Ground ground;

std::atomic<pid_t> reporter{0};  // the thread that writes the report
siginfo_t first;                 // its signal; read by the same thread only
bool gave_up = false;            // likewise

pid_t own_thread() noexcept { return static_cast<pid_t>(::syscall(SYS_gettid)); }

// What a stage stands for is stored before it, should the walk not return.
void reached(CrashStage stage) noexcept {
  // The reader comes after the death, and the kernel orders that; the compiler has to keep the order, too.
  // sync crash.stage: fence; pairs with the one in take_frame(); publishes what the stage stands for
  std::atomic_signal_fence(std::memory_order_seq_cst);
  ground.page->stage = static_cast<std::uint32_t>(stage);
  // sync crash.stage: fence; pairs with the one above; what comes later is not stored before it
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

void note_cause(const siginfo_t& info, const ucontext_t& context) noexcept {
  CrashPage& page = *ground.page;
  const Registers registers = registers_of(context);
  page.signal = info.si_signo;
  page.code = info.si_code;
  page.thread = own_thread();
  page.sender = info.si_code <= 0 ? info.si_pid : 0;
  page.access = info.si_signo == SIGSEGV || info.si_signo == SIGBUS
                    ? static_cast<std::uint32_t>(access_of(context))
                    : 0;
  page.address = info.si_signo == SIGSYS ? static_cast<std::uint64_t>(info.si_syscall)
                                         : reinterpret_cast<std::uint64_t>(info.si_addr);
  if (info.si_code <= 0) page.address = 0;
  // A stack grows downwards page by page; what failed just below its end is the next page of it.
  constexpr std::uint64_t below = std::uint64_t{256} << 10, above = 4096;
  page.stack_overflow = info.si_signo == SIGSEGV && info.si_code > 0 && registers.sp > below &&
                                page.address > registers.sp - below &&
                                page.address < registers.sp + above
                            ? 1
                            : 0;
  page.pc = registers.pc;
  page.sp = registers.sp;
  page.fp = registers.fp;
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  page.t_ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
              static_cast<std::uint64_t>(now.tv_nsec);
  page.frames[0] = registers.pc;
  page.frame_count = 1;
  name_of_thread(page.thread_name);
  reached(CrashStage::cause);
}

// The signal comes again, with what came with it, and this time nobody is in its way. Where that is refused, the
// return to the instruction that failed does the same.
void die_of(const siginfo_t& info) noexcept {
  struct sigaction as_ever = {};
  as_ever.sa_handler = SIG_DFL;
  ::sigaction(info.si_signo, &as_ever, nullptr);
  siginfo_t again = info;
  if (::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), own_thread(), info.si_signo, &again) != 0) {
    ::syscall(SYS_tgkill, ::getpid(), own_thread(), info.si_signo);  // what threads may do
  }
}

void on_crash(int, siginfo_t* info, void* context) {
  const pid_t thread = own_thread();
  pid_t busy = 0;
  if (::getpid() != ground.process) return die_of(*info);  // forked: the page is our parent's
  // relaxed: the word alone decides who goes on
  if (!reporter.compare_exchange_strong(busy, thread, std::memory_order_relaxed)) {
    if (busy == thread) {  // the walk has met broken memory
      if (!std::exchange(gave_up, true)) note_modules(*ground.page);
      return die_of(first);
    }
    const timespec moment = {0, 1'000'000};
    for (int look = 0; look < patience_looks; ++look) ::nanosleep(&moment, nullptr);
    return die_of(*info);
  }
  first = *info;
  auto& where = *static_cast<ucontext_t*>(context);
  note_cause(*info, where);
  walk(where, *ground.page);
  reached(CrashStage::frames);
  note_modules(*ground.page);
  reached(CrashStage::whole);
  die_of(*info);
}

Result<void> make_signal_stack() {
  void* const room = ::mmap(nullptr, guard_bytes + stack_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (room == MAP_FAILED) return errno_error(errno, "make a stack for crash reports");
  ::mprotect(room, guard_bytes, PROT_NONE);
  stack_t stack = {};
  stack.ss_sp = static_cast<std::byte*>(room) + guard_bytes;
  stack.ss_size = stack_bytes;
  if (::sigaltstack(&stack, nullptr) != 0) {
    return errno_error(errno, "use a stack for crash reports");
  }
  return {};
}

void cut_into(char* to, std::size_t room, std::string_view text) noexcept {
  const std::size_t bytes = std::min(text.size(), room - 1);
  std::memcpy(to, text.data(), bytes);
  to[bytes] = '\0';
}

}  // namespace

Result<void> begin_crash_reports(base::UniqueFd fd, std::uint32_t generation) {
  if (sanitized || ground.page != nullptr) return {};
  const auto size = base::file_size(fd.get());
  if (!size) return size.error();
  if (*size != ipc::crash_page_bytes) {
    return make_error(Errc::protocol_violation, "the page for crash reports has a wrong size");
  }
  auto region = base::MappedRegion::map(fd.get(), ipc::crash_page_bytes, base::Access::read_write);
  if (!region) return region.error();
  // Until the last signal, and no destructor of a static object comes after that.
  static const auto* const kept = new base::MappedRegion(std::move(*region));
  auto* const page = reinterpret_cast<CrashPage*>(kept->data());
  ground.page = page;
  ground.process = ::getpid();
  reached(CrashStage::none);  // what the predecessor wrote has been read
  page->has_exception = page->frame_count = page->module_count = 0;
  page->magic = CrashPage::magic_value;
  page->version = CrashPage::version_value;
  page->generation = generation;
  if (auto made = make_signal_stack(); !made) return made;
  prepare_walk();
  for (const int number : reported) {
    struct sigaction before = {};
    if (::sigaction(number, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) continue;
    struct sigaction wanted = {};
    wanted.sa_sigaction = on_crash;
    // Not blocked within itself: a fault in the handler comes to the handler, which then gives up.
    wanted.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    ::sigaction(number, &wanted, nullptr);
  }
  return {};
}

void note_uncaught(std::string_view type, std::string_view what) noexcept {
  if (ground.page == nullptr || ::getpid() != ground.process) return;
  cut_into(ground.page->exception_type, sizeof ground.page->exception_type, type);
  cut_into(ground.page->exception_what, sizeof ground.page->exception_what, what);
  ground.page->has_exception = 1;
}

void tell_uncaught_and_abort() noexcept {
  const auto* const type = abi::__cxa_current_exception_type();
  if (type == nullptr) {
    std::fprintf(stderr, "bulkhead: terminated without an exception\n");
    std::abort();
  }
  int status = 0;
  char* const readable = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
  const char* const name = status == 0 ? readable : type->name();
  try {
    std::rethrow_exception(std::current_exception());
  } catch (const std::exception& exception) {
    note_uncaught(name, exception.what());
    std::fprintf(stderr, "bulkhead: uncaught exception %s: %s\n", name, exception.what());
  } catch (...) {
    note_uncaught(name, "");
    std::fprintf(stderr, "bulkhead: uncaught exception %s\n", name);
  }
  std::abort();
}

}  // namespace bulkhead::workers
