#include "pool/zygote.hpp"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/process_tree.hpp"
#include "pool/packet.hpp"
#include "pool/task_registry.hpp"

namespace bulkhead::pool {
namespace {

const char* program_name = nullptr;

constexpr const char* share_variable = "BULKHEAD_POOL_PROCESSORS";

constexpr const char* cookie_variable = "BULKHEAD_POOL_COOKIE";

// What no other pool has, of this process or another.
std::string new_cookie() {
  static std::atomic<unsigned> last{0};
  // relaxed: only unique.
  const unsigned number = last.fetch_add(1, std::memory_order_relaxed);
  return std::string(cookie_variable) + "=" + std::to_string(::getpid()) + "." +
         std::to_string(number) + "." +
         std::to_string(std::chrono::steady_clock::now().time_since_epoch().count());
}

// Workers do not all take the whole machine for themselves; what the user has set stands.
std::vector<std::string> environment_for(unsigned processors, const std::string& cookie) {
  const std::string share = std::string(share_variable) + "=";
  std::vector<std::string> environment{share + std::to_string(processors), cookie};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    // The cookie of the pool that this is a worker of stays, so that its owner finds our workers, too.
    if (!std::string_view(*entry).starts_with(share)) environment.emplace_back(*entry);
  }
  if (std::getenv("OMP_NUM_THREADS") == nullptr) {
    environment.push_back("OMP_NUM_THREADS=" + std::to_string(processors));
  }
  return environment;
}

std::string build_id_of(const ZygoteWord& word) {
  std::string text;
  constexpr char digits[] = "0123456789abcdef";
  for (std::uint32_t i = 0; i < word.build_id_bytes && i < word.build_id.size(); ++i) {
    text += digits[word.build_id[i] >> 4];
    text += digits[word.build_id[i] & 15];
  }
  return text.empty() ? "none" : text;
}

// A start that hangs before main, in somebody's constructor, must not hang the owner.
constexpr int hello_timeout_ms = 30'000;

}  // namespace

void allow_zygotes(const char* name) noexcept { program_name = name; }

unsigned usable_processors() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  const unsigned all =
      ::sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set)) : 1;
  const char* const share = std::getenv(share_variable);
  const unsigned long ours = share != nullptr ? std::strtoul(share, nullptr, 10) : all;
  return static_cast<unsigned>(std::clamp<unsigned long>(ours, 1, all));
}

Result<Zygote> Zygote::start(unsigned processors) {
  if (program_name == nullptr) {
    return make_error(Errc::not_permitted,
                      "main() has not called Pool::entry(argc, argv), where workers begin");
  }
  auto sockets = base::make_socketpair(SOCK_SEQPACKET);
  if (!sockets) return sockets.error();
  base::SpawnPlan plan;
  plan.executable = "/proc/self/exe";  // this program, whatever has become of its file
  plan.argv = {program_name, zygote_role};
  const std::string cookie = new_cookie();
  plan.env = environment_for(processors, cookie);
  plan.errors = 2;
  plan.fds = {{sockets->second.get(), first_fd}};
  plan.group = base::ProcessGroup::new_group;  // Ctrl-C is the owner's affair
  auto spawned = base::spawn(plan);
  if (!spawned) return spawned.error();
  Zygote zygote(base::ChildProcess(std::move(*spawned), base::ChildProcess::OnDestroy::kill),
                std::move(sockets->first), cookie);
  sockets->second.reset();
  pollfd waiting{zygote.socket(), POLLIN, 0};
  if (::poll(&waiting, 1, hello_timeout_ms) != 1) {
    return make_error(Errc::timed_out, "the pool's zygote does not come to Pool::entry()");
  }
  const auto hello = zygote.hear();
  if (!hello || !*hello) {
    return make_error(Errc::exec_failed, "the pool's zygote ended before it came to Pool::entry()");
  }
  ZygoteWord ours;
  note_build_id(ours);
  const ZygoteWord& theirs = (*hello)->word;
  if (theirs.tasks != registered_tasks() || build_id_of(theirs) != build_id_of(ours)) {
    return make_error(Errc::version_mismatch,
                      "the pool's zygote is another program: build-id " + build_id_of(theirs) +
                          " with " + std::to_string(theirs.tasks) + " tasks, ours is " +
                          build_id_of(ours) + " with " + std::to_string(registered_tasks()));
  }
  return zygote;
}

Zygote::~Zygote() {
  if (!socket_.is_open()) return;  // moved from
  // Also where a fork of this process has the socket, too.
  ::shutdown(socket_.get(), SHUT_RDWR);
  socket_.reset();
  (void)child_.send_signal(SIGCONT);  // it may have been stopped
  // Longer only where a process waits in the kernel and cannot be killed.
  constexpr auto patience = std::chrono::seconds(5);
  const auto end = child_.wait(Deadline::in(patience));
  if (end && std::holds_alternative<base::Exited>(*end)) return;
  (void)child_.send_signal(SIGKILL);
  (void)base::kill_tree({.cookie = cookie_}, Deadline::in(patience));
}

Result<void> Zygote::order(const BirthOrder& order, std::span<const int> fds) {
  return send_packet(socket_.get(), bytes_of_value(order), fds);
}

Result<std::optional<Zygote::Heard>> Zygote::hear() {
  std::array<std::byte, sizeof(ZygoteWord)> bytes;
  auto packet = receive_packet(socket_.get(), bytes, false);
  if (!packet) return packet.error();
  if (!*packet) return std::optional<Heard>();
  if ((*packet)->bytes != bytes.size()) {
    return make_error(Errc::protocol_violation, "the pool's zygote speaks another language");
  }
  Heard heard;
  std::memcpy(static_cast<void*>(&heard.word), bytes.data(), sizeof heard.word);
  heard.word.text[sizeof heard.word.text - 1] = '\0';
  if (!(*packet)->fds.empty()) heard.pidfd = std::move((*packet)->fds.front());
  return std::optional<Heard>(std::move(heard));
}

}  // namespace bulkhead::pool
