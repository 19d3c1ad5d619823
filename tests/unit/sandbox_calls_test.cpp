// What a strict sandbox permits, as a table and as files: whether the table, its documentation and this machine agree.
#include <gtest/gtest.h>
#include <seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "supervisor/sandbox.hpp"
#include "supervisor/sandbox_calls.hpp"

namespace bulkhead::supervisor {
namespace {

std::vector<std::string> all_calls() {
  std::vector<std::string> all;
  for (const auto& group : permitted_calls()) {
    for (const auto& call : group.calls) all.emplace_back(call);
  }
  for (const auto& call : restricted_calls()) all.emplace_back(call);
  for (const auto& call : answered_calls()) all.emplace_back(call.name);
  return all;
}

// A name that the library does not know would be refused in silence.
TEST(SandboxCalls, are_known_by_name) {
  for (const auto& call : all_calls()) {
    EXPECT_NE(::seccomp_syscall_resolve_name(call.c_str()), __NR_SCMP_ERROR) << call;
  }
}

TEST(SandboxCalls, stand_in_one_place_each) {
  std::set<std::string> seen;
  for (const auto& call : all_calls()) EXPECT_TRUE(seen.insert(call).second) << call << " twice";
  for (const char* never : {"execve",
                            "execveat",
                            "ptrace",
                            "mount",
                            "setuid",
                            "setresuid",
                            "unshare",
                            "setns",
                            "bpf",
                            "connect",
                            "bind",
                            "listen",
                            "process_vm_writev",
                            "pidfd_open",
                            "pidfd_getfd",
                            "pidfd_send_signal",
                            "seccomp",
                            "keyctl",
                            "perf_event_open",
                            "userfaultfd",
                            "personality",
                            "fork",
                            "vfork"}) {
    EXPECT_EQ(seen.count(never), 0U) << never;
  }
}

TEST(SandboxCalls, stand_in_the_documentation) {
  std::ifstream file(BULKHEAD_DOCS "/design/sandbox.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  for (const auto& call : all_calls()) {
    EXPECT_NE(text.find("`" + call + "`"), std::string::npos) << call << " is not in sandbox.md";
  }
}

TEST(SandboxCalls, have_names_to_be_told_by) {
  EXPECT_EQ(name_of_call(SYS_execve), "execve");
  EXPECT_EQ(name_of_call(99'999), "system call 99999");
  EXPECT_EQ(name_of_call(~std::uint64_t{0}), "system call 18446744073709551615");
}

bool has(const std::vector<std::string>& list, const std::string& path) {
  return std::find(list.begin(), list.end(), path) != list.end();
}

// None of these directories exists, so that no link on this machine makes them others.
struct Place {
  SystemConfig config;
  WorkerConfig worker;
};
Place place(const std::string& working_dir) {
  Place at;
  at.config.directory = "/nowhere/app";
  at.worker.executable = "/nowhere/app/bin/parser";
  at.worker.working_dir = working_dir;
  at.worker.sandbox = Sandbox::strict;
  return at;
}

TEST(SandboxFiles, may_be_written_in_a_working_directory_of_its_own) {
  const auto at = place("/nowhere/app/data");
  const auto files = sandbox_files(at.worker, at.config);
  EXPECT_TRUE(has(files.write, "/nowhere/app/data"));
  EXPECT_TRUE(has(files.read, "/nowhere/app"));
  EXPECT_TRUE(has(files.read, "/nowhere/app/bin"));
  EXPECT_TRUE(has(files.read, "/usr"));
  EXPECT_FALSE(has(files.read, "/etc"));
}

// Who could write them would decide what runs outside of the sandbox next time.
TEST(SandboxFiles, are_not_written_where_config_or_program_lie) {
  for (const char* above : {"/nowhere/app", "/nowhere/app/", "/nowhere", "/", "/nowhere/app/bin",
                            "/nowhere/app/data/.."}) {
    const auto at = place(above);
    EXPECT_EQ(sandbox_files(at.worker, at.config).write, (std::vector<std::string>{"/dev/null"}))
        << above;
  }
  const auto beside = place("/nowhere/app-data");  // not within /nowhere/app
  EXPECT_TRUE(has(sandbox_files(beside.worker, beside.config).write, "/nowhere/app-data"));
}

TEST(SandboxJson, says_of_a_program_that_does_not_run_only_what_is_wanted) {
  auto at = place("/nowhere/app/data");
  const auto strict = sandbox_json(at.worker, at.config, std::nullopt, 0);
  EXPECT_EQ(strict["level"], "strict");
  EXPECT_TRUE(strict["in_effect"].empty());
  EXPECT_TRUE(strict["refused"].empty());
  EXPECT_EQ(strict["complaint"], "");
  at.worker.sandbox = Sandbox::none;
  EXPECT_EQ(sandbox_json(at.worker, at.config, std::nullopt, 1)["level"], "none");
}

// This test runs without no_new_privs, so whoever claims to be confined is found out.
TEST(SandboxJson, believes_the_kernel_more_than_the_worker) {
  const auto at = place("/nowhere/app/data");
  const ipc::SandboxInstalled told{{"no_ptrace", "landlock 7", "seccomp"}, {}};
  const auto shown = sandbox_json(at.worker, at.config, told, ::getpid());
  EXPECT_EQ(shown["in_effect"], (nlohmann::json{"no_core", "no_ptrace", "landlock 7"}));
  ASSERT_EQ(shown["refused"].size(), 2U) << shown;
  EXPECT_NE(shown["complaint"].get<std::string>().find("seccomp: the kernel does not show it"),
            std::string::npos);
}

}  // namespace
}  // namespace bulkhead::supervisor
