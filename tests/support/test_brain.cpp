#include "tests/support/test_brain.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <sstream>

#include "base/child_process.hpp"
#include "base/fd.hpp"
#include "base/spawn.hpp"
#include "supervisor/brain_arguments.hpp"
#include "supervisor/keeper_client.hpp"
#include "supervisor/sealed_config.hpp"
#include "supervisor/state_region.hpp"
#include "tests/support/report_role.hpp"

namespace bulkhead::test {
namespace {

using namespace supervisor;

std::string told(const Result<void>& result) { return result ? "ok" : result.error().to_string(); }

std::string content(int fd) {
  char text[256];
  const ssize_t n = ::pread(fd, text, sizeof text, 0);
  return {text, n > 0 ? static_cast<std::size_t>(n) : 0};
}

constexpr Slot churn_slots = 4;

class TestBrain {
 public:
  TestBrain(BrainArguments arguments, KeeperClient keeper, StateRegion state)
      : arguments_(std::move(arguments)), keeper_(std::move(keeper)), state_(std::move(state)) {}

  int run() {
    for (Slot slot = 0; slot < churn_slots; ++slot) (void)state_.settle(slot);
    state_.set_taken_over(keeper_.brain_generation());
    for (;;) {
      if (!wait_for(arguments_.listener)) return 1;
      const base::UniqueFd client{::accept4(arguments_.listener, nullptr, nullptr, SOCK_CLOEXEC)};
      while (client.is_open() && wait_for(client.get())) {
        char text[1024];
        const ssize_t n = ::recv(client.get(), text, sizeof text, 0);
        if (n <= 0) break;
        const std::string answer = obey({text, static_cast<std::size_t>(n)});
        if (::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL) < 0) break;
      }
    }
  }

 private:
  // Beats while it waits.
  bool wait_for(int fd) {
    for (;;) {
      state_.beat();
      pollfd entry{fd, POLLIN, 0};
      const int ready = ::poll(&entry, 1, 200);
      if (ready != 0) return ready > 0;
    }
  }

  std::string obey(const std::string& command) {
    std::istringstream words(command);
    std::string verb, first, second;
    words >> verb >> first >> second;
    const std::map<std::string, std::function<std::string()>> verbs{
        {"generation", [&] { return std::to_string(keeper_.brain_generation()); }},
        {"pid", [] { return std::to_string(::getpid()); }},
        {"put", [&] { return put(first, second); }},
        {"drop", [&] { return told(keeper_.drop(first)); }},
        {"get", [&] { return get(first); }},
        {"tags", [&] { return tags(first); }},
        {"spawn", [&] { return start(first, second); }},
        {"claim", [&] { return claim(first); }},
        {"exit", [&] { return wait_for_exit(); }},
        {"unread", [&] { return std::to_string(unread()); }},
        {"acknowledge", [&] { return keeper_.acknowledge(), std::string("ok"); }},
        {"stops", [&] { return wait_for_stops(static_cast<std::uint32_t>(std::stoul(first))); }},
        {"stop", [&] { return told(keeper_.stop(std::stoi(first))); }},
        {"orphans", [&] { return wait_for_orphans(); }},
        {"storm", [&] { return storm(std::stoul(first)); }},
        {"limits", [&] { return limits(); }},
        {"descriptors", [] { return list_descriptors(); }},
        {"config", [&] { return config(); }},
        {"garbage", [&] { return garbage(); }},
        {"churn", [&] { return churn(std::stoul(first)); }},
        {"living", [&] { return living(); }},
    };
    const auto found = verbs.find(verb);
    return found == verbs.end() ? "unknown command" : found->second();
  }

  std::string put(const std::string& tag, const std::string& text) {
    auto file = base::make_memfd("test", false);
    if (!file || ::write(file->get(), text.data(), text.size()) < 0) return "no file";
    return told(keeper_.put(tag, file->get()));
  }

  std::string get(const std::string& tag) {
    const auto fd = keeper_.find(tag);
    return fd ? content(*fd) : "none";
  }

  std::string tags(const std::string& prefix) {
    std::string text;
    for (const auto& entry : keeper_.entries(prefix))
      text += entry.tag + "=" + content(entry.fd) + " ";
    return text;
  }

  base::SpawnPlan plan(const std::string& role) {
    base::SpawnPlan plan;
    plan.executable = "/proc/self/exe";
    plan.argv = {"keeper_test"};
    plan.env = {std::string(role_variable) + "=" + role};
    plan.death_signal = base::DeathSignal{SIGKILL, keeper_.keeper_pid()};
    plan.sibling = true;
    return plan;
  }

  // "spawn worker 3", "spawn leaver 0", "spawn orphan": prints the pid; a leaver's once it is dead.
  std::string start(const std::string& role, const std::string& where) {
    state_.beat();
    base::SpawnPlan start = plan(role == "orphan" ? "leaver" : role);
    const Slot slot = where.empty() ? 0 : static_cast<Slot>(std::stoul(where));
    ClaimTicket ticket{};
    if (role != "orphan") {
      ticket = state_.ticket(slot, state_.bump(slot));
      start.claim = claim_slot;
      start.claim_argument = &ticket;
    }
    auto spawned = base::spawn(start);
    if (!spawned) return spawned.error().to_string();
    if (role != "worker" && !wait_for(spawned->pidfd.get())) return "not to be waited for";
    return std::to_string(spawned->pid);
  }

  std::string claim(const std::string& slot) {
    const Claim claim = state_.claim(static_cast<Slot>(std::stoul(slot)));
    return std::to_string(claim.generation) + "/" + std::to_string(claim.pid);
  }

  static std::string print(const ExitEntry& entry) {
    return std::to_string(entry.slot) + "/" + std::to_string(entry.generation) + "/" +
           (entry.code == CLD_EXITED ? "exit " : "signal ") + std::to_string(entry.status);
  }

  std::optional<ExitEntry> await_exit() {
    for (;;) {
      if (auto entry = keeper_.next_exit()) return entry;
      if (!wait_for(keeper_.fd()) || !keeper_.drain_bell()) return std::nullopt;
    }
  }

  std::string wait_for_exit() {
    const auto entry = await_exit();
    return entry ? print(*entry) : "keeper gone";
  }

  std::size_t unread() {
    std::size_t count = 0;
    while (keeper_.next_exit()) ++count;
    return count;
  }

  std::string wait_for_stops(std::uint32_t count) {
    while (keeper_.stop_requests() < count) {
      if (!wait_for(keeper_.fd()) || !keeper_.drain_bell()) return "keeper gone";
    }
    return std::to_string(keeper_.stop_requests());
  }

  // No bell rings for an orphan; each round trip gives the keeper a turn.
  std::string wait_for_orphans() {
    while (keeper_.orphans_reaped() == 0) {
      if (!keeper_.drop("nothing")) return "keeper gone";
      state_.beat();
    }
    return std::to_string(keeper_.orphans_reaped());
  }

  // Exits and their bells arrive in the middle of puts and their answers.
  std::string storm(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto spawned = start("leaver", std::to_string(i));
      const auto done = put("storm/" + std::to_string(i), "x");
      if (done != "ok") return done + " after " + spawned;
    }
    std::size_t seen = 0;
    while (seen < count && await_exit()) ++seen;
    return std::to_string(seen);
  }

  // What died is noted and started anew, then one is killed: a brain may die anywhere in between.
  std::string churn(std::size_t rounds) {
    for (std::size_t i = 0; i < rounds; ++i) {
      carry_out_exits();
      for (Slot slot = 0; slot < churn_slots; ++slot) {
        if (state_.claim(slot).pid <= 0) (void)start("worker", std::to_string(slot));
      }
      const Slot victim = static_cast<Slot>(i % churn_slots);
      auto pidfd = base::open_pidfd(state_.claim(victim).pid);
      if (!pidfd || !base::send_signal(pidfd->get(), SIGKILL)) return "no victim";
      while (state_.claim(victim).pid > 0) {
        if (!carry_out_exits() && (!wait_for(keeper_.fd()) || !keeper_.drain_bell())) return "gone";
      }
    }
    return "done";
  }

  bool carry_out_exits() {
    bool any = false;
    while (const auto entry = keeper_.next_exit()) {
      state_.end(entry->slot, entry->generation);
      any = true;
    }
    keeper_.acknowledge();
    return any;
  }

  std::string living() {
    carry_out_exits();
    std::string pids;
    for (Slot slot = 0; slot < churn_slots; ++slot) {
      const pid_t pid = state_.claim(slot).pid;
      if (pid > 0) pids += std::to_string(pid) + " ";
    }
    return pids;
  }

  std::string limits() {
    rlimit mine{};
    ::getrlimit(RLIMIT_NOFILE, &mine);
    return std::to_string(keeper_.nofile_soft_limit()) + " " +
           (mine.rlim_cur == mine.rlim_max ? "raised" : "not raised");
  }

  std::string config() {
    const auto text = read_sealed_config(arguments_.config);
    return text ? text->path + ":" + text->text : text.error().to_string();
  }

  std::string garbage() {
    return ::send(arguments_.keeper_socket, "xyz", 3, MSG_NOSIGNAL) == 3 ? "sent" : "not sent";
  }

  BrainArguments arguments_;
  KeeperClient keeper_;
  StateRegion state_;
};

int play_brain(int argc, char** argv) {
  auto arguments = parse_brain_arguments(argc, argv);
  if (!arguments) return std::fprintf(stderr, "%s\n", arguments.error().to_string().c_str()), 1;
  auto keeper = KeeperClient::adopt(arguments->keeper_page, arguments->keeper_socket);
  if (!keeper) return std::fprintf(stderr, "%s\n", keeper.error().to_string().c_str()), 1;
  auto state = StateRegion::map(arguments->state);
  if (!state) return std::fprintf(stderr, "%s\n", state.error().to_string().c_str()), 1;
  return TestBrain(std::move(*arguments), std::move(*keeper), std::move(*state)).run();
}

}  // namespace

std::string role_of_this_process() {
  const char* role = ::getenv(role_variable);
  return role != nullptr ? role : "";
}

int play_role(const std::string& role, int argc, char** argv) {
  if (role == "steady") return play_brain(argc, argv);
  if (role == "never") return 9;
  if (role == "leaver") return 3;
  if (role == "worker") return ::pause();
  return 2;
}

}  // namespace bulkhead::test
