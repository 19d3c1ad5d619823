#include "supervisor/thread_stacks.hpp"

#include <elfutils/libdwfl.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "supervisor/symboliser.hpp"

namespace bulkhead::supervisor {
namespace {

using nlohmann::json;

constexpr std::size_t threads_max = 64, frames_max = 32;

struct Module {
  std::string path, build_id;
};
struct Frame {
  int module = -1;          // in none
  std::uint64_t place = 0;  // the offset in its file, or the address
};
struct Stack {
  pid_t thread = 0;
  std::vector<Frame> frames;
  std::string problem;  // why there are not more
};

class Walk {
 public:
  explicit Walk(Dwfl* session) : session_(session) {}

  int thread(Dwfl_Thread* thread) {
    if (stacks_.size() == threads_max) {
      ++left_out_;
      return DWARF_CB_OK;
    }
    stacks_.push_back({dwfl_thread_tid(thread), {}, {}});
    const auto step = [](Dwfl_Frame* frame, void* walk) {
      return static_cast<Walk*>(walk)->frame(frame);
    };
    // DWARF_CB_ABORT is ours, for enough; -1 is a stack that could not be walked further.
    if (dwfl_thread_getframes(thread, step, this) == -1) {
      stacks_.back().problem = dwfl_errmsg(-1);
    }
    return DWARF_CB_OK;
  }

  // As much as fits: outer frames go first, then the last threads.
  std::string text(std::size_t bytes_max) const {
    std::size_t frames = frames_max, threads = stacks_.size();
    for (;;) {
      auto written = write(frames, threads);
      if (written.size() <= bytes_max || (frames == 1 && threads == 0)) return written;
      if (frames > 4) {
        frames /= 2;
      } else {
        threads /= 2;
        if (threads == 0) frames = 1;
      }
    }
  }

  bool saw_nothing() const {
    return std::all_of(stacks_.begin(), stacks_.end(),
                       [](const Stack& stack) { return stack.frames.empty(); });
  }
  std::string first_problem() const { return stacks_.empty() ? "" : stacks_.front().problem; }

 private:
  int frame(Dwfl_Frame* frame) {
    Dwarf_Addr pc = 0;
    bool interrupted = false;
    if (!dwfl_frame_pc(frame, &pc, &interrupted)) return DWARF_CB_ABORT;
    // A return address may belong to the next function already; the call lies before it.
    if (!interrupted && pc != 0) --pc;
    auto& frames = stacks_.back().frames;
    frames.push_back(place(pc));
    return frames.size() == frames_max ? DWARF_CB_ABORT : DWARF_CB_OK;
  }

  Frame place(std::uint64_t address) {
    Dwfl_Module* const module = dwfl_addrmodule(session_, address);
    GElf_Addr bias = 0;
    if (module == nullptr || dwfl_module_getelf(module, &bias) == nullptr) return {-1, address};
    const auto [known, is_new] = indices_.try_emplace(module, static_cast<int>(modules_.size()));
    if (is_new) {
      const char* file = nullptr;
      const char* const name =
          dwfl_module_info(module, nullptr, nullptr, nullptr, nullptr, nullptr, &file, nullptr);
      modules_.push_back({file != nullptr ? file : name, build_id_of(module)});
    }
    return {known->second, address - bias};
  }

  std::string write(std::size_t frames_most, std::size_t threads_most) const {
    auto modules = json::array();
    for (const auto& module : modules_) {
      modules.push_back({{"path", module.path}, {"build_id", module.build_id}});
    }
    auto threads = json::array();
    for (const auto& stack : stacks_) {
      if (threads.size() == threads_most) break;
      auto frames = json::array();
      for (const auto& frame : stack.frames) {
        if (frames.size() == frames_most) break;
        frames.push_back({frame.module, frame.place});
      }
      json thread{{"tid", stack.thread}, {"frames", std::move(frames)}};
      if (!stack.problem.empty()) thread["error"] = stack.problem;
      threads.push_back(std::move(thread));
    }
    const auto left_out = left_out_ + stacks_.size() - threads.size();
    return json{{"modules", threads.empty() ? json::array() : std::move(modules)},
                {"threads", std::move(threads)},
                {"left_out", left_out}}
        .dump(-1, ' ', false, json::error_handler_t::replace);
  }

  Dwfl* session_;
  std::vector<Stack> stacks_;
  std::vector<Module> modules_;
  std::map<Dwfl_Module*, int> indices_;
  std::size_t left_out_ = 0;
};

// Unwinding takes .eh_frame, which programs carry themselves; to look for more would cost time while a worker hangs.
int find_no_debuginfo(Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*, const char*,
                      GElf_Word, char**) {
  return -1;
}

const Dwfl_Callbacks living{.find_elf = dwfl_linux_proc_find_elf,
                            .find_debuginfo = find_no_debuginfo,
                            .section_address = nullptr,
                            .debuginfo_path = nullptr};

}  // namespace

Result<std::string> stacks_of(pid_t process, std::size_t bytes_max) {
  const std::unique_ptr<Dwfl, void (*)(Dwfl*)> session(dwfl_begin(&living), dwfl_end);
  if (!session) return make_error(Errc::out_of_budget, "libdw has no memory");
  if (const int error = dwfl_linux_proc_report(session.get(), process); error > 0) {
    return errno_error(error, "read the memory map of process " + std::to_string(process));
  } else if (error != 0) {
    return make_error(Errc::unsupported, std::string("its memory map: ") + dwfl_errmsg(-1));
  }
  dwfl_report_end(session.get(), nullptr, nullptr);
  if (const int error = dwfl_linux_proc_attach(session.get(), process, false); error > 0) {
    return errno_error(error, "look into process " + std::to_string(process));
  } else if (error != 0) {
    return make_error(Errc::unsupported, std::string("its threads: ") + dwfl_errmsg(-1));
  }
  Walk walk(session.get());
  const auto each = [](Dwfl_Thread* thread, void* argument) {
    return static_cast<Walk*>(argument)->thread(thread);
  };
  if (dwfl_getthreads(session.get(), each, &walk) == -1 || walk.saw_nothing()) {
    const std::string problem = walk.first_problem();
    return make_error(Errc::not_permitted,
                      "ptrace: " + (problem.empty() ? std::string(dwfl_errmsg(-1)) : problem) +
                          " (with kernel.yama.ptrace_scope 1 it needs CAP_SYS_PTRACE)");
  }
  return walk.text(bytes_max);
}

}  // namespace bulkhead::supervisor
