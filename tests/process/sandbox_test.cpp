// Sandboxes in whole systems: what a strict one refuses and how that is told, what basic does to any program, and that
// workers of the runtime do their work and recover within it, over every transport.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include "tests/conformance/transports.hpp"
#include "tests/support/command.hpp"
#include "tests/support/running_system.hpp"

namespace bulkhead::test {
namespace {

using nlohmann::json;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

CommandOutput command(const RunningSystem& system, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), BULKHEAD_PROGRAM);
  return run_command(std::move(arguments),
                     {"BULKHEAD_RUNTIME_DIR=" + system.directory().path("run")});
}

// All that an instance of the system "bad" has printed; the logger has written it when everybody is gone.
std::string whole_log(RunningSystem& system, const std::string& instance) {
  system.request("shutdown");
  system.await_end();
  std::ifstream file(system.directory().path("run/bad/logs/" + instance + ".log"));
  return {std::istreambuf_iterator<char>(file), {}};
}

bool mentions(const json& list, const std::string& word) {
  return std::any_of(list.begin(), list.end(), [&](const auto& entry) {
    return entry.template get<std::string>().find(word) != std::string::npos;
  });
}

// A crash worker that makes the forbidden call at once.
std::string one_bad_worker(const std::string& mode, const std::string& sandbox) {
  return R"({"version": 1, "name": "bad", "workers": {
    "bad": {"command": ["crash-worker"], "ready": {"type": "notify"}, "sandbox": ")" +
         sandbox + R"(", "restart": {"policy": "never"},
            "config": {"mode": ")" +
         mode + R"(", "after": "0ms", "code": 42}},
    "good": {"command": ["sleep", "100000"]}}})";
}

json await_end_of_bad(RunningSystem& system) {
  const auto status = system.await(
      [](const auto& now) {
        const auto state = row(now, "bad.0")["state"];
        return state == "failed" || state == "done";
      },
      "its end");
  return row(status, "bad.0");
}

struct Denial {
  const char* mode;
  const char* call;
  const char* function;
};

class DeniedCall : public testing::TestWithParam<Denial> {};

TEST_P(DeniedCall, is_the_cause_of_the_death_by_name_and_place) {
  if (sanitized) GTEST_SKIP() << "the sanitizer reports instead";
  RunningSystem system("bad", one_bad_worker(GetParam().mode, "strict"));
  const auto worker = await_end_of_bad(system);
  EXPECT_EQ(worker["last_exit"]["signal"], "SIGSYS") << worker;
  const auto output = command(system, {"incidents", "--json"});
  const auto incidents = json::parse(output.out)["incidents"];
  ASSERT_EQ(incidents.size(), 1U) << output.out;
  EXPECT_EQ(incidents[0]["cause"], "SIGSYS");
  const std::string words = std::string("SIGSYS: ") + GetParam().call + " is not permitted";
  EXPECT_EQ(incidents[0]["words"].get<std::string>().rfind(words, 0), 0U) << incidents[0]["words"];
  EXPECT_EQ(incidents[0]["report"]["crash"]["system_call"], GetParam().call);
  const auto& backtrace = incidents[0]["report"]["backtrace"];
  EXPECT_TRUE(std::any_of(backtrace.begin(), backtrace.end(), [](const auto& frame) {
    return frame["function"].is_string() && frame["function"].template get<std::string>().find(
                                                GetParam().function) != std::string::npos;
  })) << backtrace.dump(1);
  EXPECT_NE(command(system, {"why", "bad"}).out.find(words), std::string::npos);
}

// The same call without a sandbox, so that it is the sandbox that the death comes from.
TEST_P(DeniedCall, is_let_through_without_a_sandbox) {
  RunningSystem system("bad", one_bad_worker(GetParam().mode, "none"));
  const auto worker = await_end_of_bad(system);
  EXPECT_EQ(worker["last_exit"]["kind"], "exit") << worker;
  if (std::string(GetParam().mode) == "exec") return;  // it is /bin/true from then on
  const auto log = whole_log(system, "bad.0");
  EXPECT_EQ(worker["last_exit"]["code"], 1) << log;
  EXPECT_NE(log.find("was let through"), std::string::npos) << log;
}

INSTANTIATE_TEST_SUITE_P(Strict, DeniedCall,
                         testing::Values(Denial{"exec", "execve", "execute"},
                                         Denial{"fork", "clone", "fork_off"},
                                         Denial{"ptrace", "ptrace", "trace"},
                                         Denial{"inet_socket", "socket", "new_inet_socket"},
                                         Denial{"datagram_pair", "socketpair", "new_datagram_pair"},
                                         Denial{"fastopen", "sendto", "connect_by_sending"},
                                         Denial{"outlive", "prctl", "outlive_the_supervisor"},
                                         Denial{"mount", "mount", "mount_nothing"},
                                         Denial{"setuid", "setuid", "become_who_it_is"},
                                         Denial{"kill_other", "kill", "signal_another"},
                                         Denial{"make_code", "mprotect", "make_code"}),
                         [](const auto& test) { return std::string(test.param.mode); });

class AnsweredCall : public testing::TestWithParam<const char*> {};

TEST_P(AnsweredCall, fails_and_the_worker_lives_on) {
  RunningSystem system("bad", one_bad_worker(GetParam(), "strict"));
  const auto worker = await_end_of_bad(system);
  const auto log = whole_log(system, "bad.0");
  EXPECT_EQ(worker["last_exit"]["kind"], "exit") << log;
  EXPECT_EQ(worker["last_exit"]["code"], 42) << log;
  EXPECT_NE(log.find("Permission denied"), std::string::npos) << log;
}

TEST_P(AnsweredCall, succeeds_without_a_sandbox) {
  RunningSystem system("bad", one_bad_worker(GetParam(), "basic"));
  const auto worker = await_end_of_bad(system);
  const auto log = whole_log(system, "bad.0");
  EXPECT_EQ(worker["last_exit"]["code"], 1) << log;
  EXPECT_NE(log.find("was let through: done"), std::string::npos) << log;
}

INSTANTIATE_TEST_SUITE_P(Strict, AnsweredCall,
                         testing::Values("open_outside", "write_outside", "unix_socket"),
                         [](const auto& test) { return std::string(test.param); });

// Everything that the crash worker does on purpose is still what it is: its report, its own limits.
class CrashInASandbox : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(CrashInASandbox, is_reported_as_ever) {
  if (sanitized) GTEST_SKIP() << "the sanitizer reports instead";
  RunningSystem system("bad", one_bad_worker(GetParam().first, "strict"));
  await_end_of_bad(system);
  const auto incident =
      json::parse(command(system, {"incidents", "--json"}).out)["incidents"].at(0);
  EXPECT_EQ(incident["cause"], GetParam().second) << incident;
  EXPECT_FALSE(incident["report"]["backtrace"].empty());
}

INSTANTIATE_TEST_SUITE_P(Strict, CrashInASandbox,
                         testing::Values(std::pair{"segv", "SIGSEGV"},
                                         std::pair{"abort", "SIGABRT"},
                                         std::pair{"throw", "SIGABRT"},
                                         std::pair{"stack_overflow", "SIGSEGV"},
                                         std::pair{"thread", "SIGSEGV"}),
                         [](const auto& test) { return std::string(test.param.first); });

// Every built-in worker, each in a strict sandbox.
std::string confined_system(Transport transport) {
  const std::string over(to_string(transport));
  const auto worker = [](const std::string& name, const std::string& more) {
    return "\"" + name.substr(0, name.find('-')) + "\": {\"command\": [\"" + name +
           R"("], "ready": {"type": "notify"}, "sandbox": "strict", "watchdog": {"timeout": "20s"}, )" +
           more + "}";
  };
  return R"({"version": 1, "name": "strict",
    "defaults": {"restart": {"backoff": {"initial": "0ms"}, "limit": "none"}},
    "workers": {)" +
         worker("ticker-worker", R"("config": {"link": "ticks", "rate_hz": 500})") + ", " +
         worker("sink-worker", R"("config": {"link": "ticks", "report_every": "10ms"})") + ", " +
         worker("echo-worker", R"("provides": [{"name": "echo", "transport": ")" + over + "\"}]") +
         ", " +
         worker("math-worker", R"("provides": [{"name": "math", "transport": ")" + over + "\"}]") +
         ", " +
         worker("client-worker",
                R"("config": {"service": "math", "methods": ["add", "primes", "matrix"],
                   "pause": "1ms", "report_every": "10ms"})") +
         ", " +
         worker("splitter-worker",
                R"("config": {"link": "jobs", "directory": "/usr/include/linux", "rounds": 0,
                   "job_bytes": "16KiB"})") +
         ", " + worker("cruncher-worker", R"("instances": 2)") + R"(},
    "links": {"ticks": {"type": "channel", "from": "ticker", "to": "sink", "transport": ")" +
         over + R"("},
      "jobs": {"type": "queue", "from": "splitter", "to": "cruncher", "transport": ")" +
         over + "\"}}}";
}

// "delivered=12 gaps=0 …" -> 12 for "delivered"; -1 where it does not stand.
long figure(const json& worker, const std::string& name) {
  const std::string text = worker["status_text"];
  const auto at = text.find(name + "=");
  return at == text.npos ? -1 : std::strtol(text.c_str() + at + name.size() + 1, nullptr, 10);
}

std::uint64_t sent(const json& status, const std::string& name) {
  std::uint64_t all = 0;
  for (const auto& link : status["links"]) {
    if (link["name"] == name) all += link["acknowledged"].template get<std::uint64_t>();
  }
  return all;
}

class StrictSystem : public testing::TestWithParam<Transport> {
 protected:
  StrictSystem() : system("strict", confined_system(GetParam())) { system.await_all_ready(); }
  void await_traffic(const std::string& when) {
    const auto before = system.status();
    system.await(
        [&](const auto& now) {
          return sent(now, "ticks") > sent(before, "ticks") + 100 &&
                 sent(now, "jobs") > sent(before, "jobs") + 20 &&
                 figure(row(now, "client.0"), "ok") > 0;
        },
        "traffic " + when);
  }
  RunningSystem system;
};

TEST_P(StrictSystem, works_and_survives_the_death_of_everybody) {
  await_traffic("at first");
  const std::string victims[] = {"ticker.0", "sink.0",     "echo.0",     "math.0",
                                 "client.0", "splitter.0", "cruncher.0", "cruncher.1"};
  for (const auto& victim : victims) {
    const int pid = system.worker(victim)["pid"];
    ASSERT_EQ(::kill(pid, SIGKILL), 0) << victim;
    system.await_reborn(victim, pid);
  }
  system.await_all_ready();
  await_traffic("after the deaths");
  const auto status = system.status();
  EXPECT_EQ(figure(row(status, "sink.0"), "gaps"), 0) << row(status, "sink.0");
  EXPECT_EQ(figure(row(status, "sink.0"), "torn"), 0);
  EXPECT_EQ(figure(row(status, "client.0"), "wrong"), 0) << row(status, "client.0");
  for (const auto& worker : status["workers"]) {
    EXPECT_EQ(worker["sandbox"]["level"], "strict") << worker;
    EXPECT_TRUE(worker["sandbox"]["refused"].empty()) << worker;
    EXPECT_TRUE(mentions(worker["sandbox"]["in_effect"], "seccomp")) << worker;
    EXPECT_TRUE(mentions(worker["sandbox"]["in_effect"], "landlock")) << worker;
    EXPECT_EQ(worker["restarts"], 1) << worker;
  }
  EXPECT_EQ(command(system, {"call", "echo", "echo", "\"hello\""}).out, "\"hello\"\n");
}

// A new brain asks what there is, and does not confine anybody twice.
TEST_P(StrictSystem, goes_on_under_a_new_brain) {
  await_traffic("at first");
  system.kill_brain();
  const auto status = system.await(
      [](const auto& now) {
        return all_ready(now) &&
               std::all_of(now["workers"].begin(), now["workers"].end(), [](const auto& worker) {
                 return mentions(worker["sandbox"]["in_effect"], "landlock");
               });
      },
      "all to have told the new brain of their sandboxes");
  for (const auto& worker : status["workers"]) EXPECT_EQ(worker["restarts"], 0) << worker;
  await_traffic("under the new brain");
}

INSTANTIATE_TEST_SUITE_P(Transports, StrictSystem, testing::ValuesIn(all_transports),
                         [](const auto& test) { return std::string(to_string(test.param)); });

// The shell says itself what it was given: no other descriptor than its own of the directory that it lists.
TEST(BasicSandbox, is_put_in_force_on_any_program_before_it_begins) {
  RunningSystem system("bad", R"({"version": 1, "name": "bad", "workers": {
    "bad": {"command": ["/bin/sh", "-c",
        "grep NoNewPrivs /proc/self/status; echo core $(ulimit -c); echo files $(ulimit -n); echo fds; ls /proc/$$/fd; echo end; exit 42"],
      "runtime": false, "sandbox": "basic", "limits": {"nofile": 99}, "restart": {"policy": "never"}},
    "good": {"command": ["sleep", "100000"], "sandbox": "basic", "limits": {"core": "1MiB"}}}})");
  await_end_of_bad(system);
  const auto sandbox = row(system.status(), "good.0")["sandbox"];
  EXPECT_EQ(sandbox["level"], "basic");
  EXPECT_EQ(sandbox["in_effect"], json{"no_new_privs"}) << "it may leave a core of 1 MiB";
  EXPECT_TRUE(sandbox["refused"].empty()) << sandbox;
  const auto log = whole_log(system, "bad.0");
  EXPECT_NE(log.find("NoNewPrivs:\t1"), std::string::npos) << log;
  EXPECT_NE(log.find("core 0"), std::string::npos) << log;
  EXPECT_NE(log.find("files 99"), std::string::npos) << log;
  EXPECT_NE(log.find("fds\n0\n1\n2\nend\n"), std::string::npos) << log;
}

TEST(StrictSandbox, permits_what_programs_are_made_of) {
  const TemporaryDirectory place;
  std::filesystem::create_directory(place.path("own"));
  place.write("beside.txt", "text");
  const auto config = json{{"version", 1},
                           {"name", "bad"},
                           {"workers",
                            {{"bad",
                              {{"command", {TEST_PROGRAMS "/sandbox_roles"}},
                               {"ready", {{"type", "notify"}}},
                               {"kind", "oneshot"},
                               {"sandbox", "strict"},
                               {"restart", {{"policy", "never"}}},
                               {"working_dir", "own"},
                               {"config", {{"beside", place.path("beside.txt")}}}}},
                             {"good", {{"command", {"sleep", "100000"}}}}}}};
  RunningSystem system("bad", ConfigFile{place.write("config.json", config.dump())});
  const auto worker = await_end_of_bad(system);
  EXPECT_EQ(whole_log(system, "bad.0"), "everything was tried\n");
  EXPECT_EQ(worker["state"], "done") << worker;
}

TEST(StrictSandbox, of_a_program_without_the_runtime_is_told_as_not_in_force) {
  RunningSystem system("bad", R"({"version": 1, "name": "bad", "workers": {
    "bad": {"command": ["sleep", "100000"], "sandbox": "strict"}}})");
  system.await_all_ready();
  const auto worker = system.worker("bad.0");
  EXPECT_FALSE(mentions(worker["sandbox"]["in_effect"], "seccomp")) << worker;
  EXPECT_TRUE(
      mentions(worker["sandbox"]["refused"], "seccomp, landlock: the program has not said"));
  EXPECT_NE(command(system, {"status"}).out.find("sandbox: seccomp, landlock"), std::string::npos);
  EXPECT_NE(command(system, {"why", "bad"}).out.find("seccomp, landlock"), std::string::npos);
}

// In a thread of its own, whose children find this system call missing, as on another kernel.
template <class Body>
void without(long system_call, int error_number, const Body& body) {
  std::thread([&] {
    sock_filter instructions[] = {
        sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(system_call), 0,
                             1),
        sock_filter BPF_STMT(BPF_RET | BPF_K,
                             SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error_number)),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_fprog program{std::size(instructions), instructions};
    ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    body();
  }).join();
}

TEST(StrictSandbox, without_landlock_filters_calls_and_says_what_is_missing) {
  without(SYS_landlock_create_ruleset, EOPNOTSUPP, [] {
    const auto doctor = run_command({BULKHEAD_PROGRAM, "doctor"});
    EXPECT_NE(doctor.out.find("protected by their permissions alone"), std::string::npos)
        << doctor.out;
    RunningSystem system("bad", one_bad_worker("open_outside", "strict"));
    // Nothing refuses it then.
    const auto worker = await_end_of_bad(system);
    const auto log = whole_log(system, "bad.0");
    EXPECT_EQ(worker["last_exit"]["code"], 1) << log;
    EXPECT_NE(log.find("landlock: the kernel has it switched off"), std::string::npos) << log;
    RunningSystem other("bad", one_bad_worker("exec", "strict"));
    EXPECT_EQ(await_end_of_bad(other)["last_exit"]["signal"], "SIGSYS");
  });
}

TEST(StrictSandbox, without_seccomp_is_refused_by_check) {
  without(SYS_seccomp, ENOSYS, [] {
    const auto doctor = run_command({BULKHEAD_PROGRAM, "doctor"});
    EXPECT_NE(doctor.out.find("\"strict\" is refused"), std::string::npos) << doctor.out;
    const TemporaryDirectory directory;
    const std::string path = directory.path("system.json");
    std::ofstream(path) << one_bad_worker("exec", "strict");
    const auto checked = run_command({BULKHEAD_PROGRAM, "check", path});
    EXPECT_EQ(checked.code, 78);
    EXPECT_NE((checked.out + checked.err).find("/workers/bad/sandbox: this kernel takes no filter"),
              std::string::npos)
        << checked.out << checked.err;
  });
}

}  // namespace
}  // namespace bulkhead::test
