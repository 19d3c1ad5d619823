// The cgroups of a system on version 2, where a cgroup that has processes can hand no controller down. hugetlb stands
// for memory and pids, since it is the one that nobody misses; the rules are the same for all.
#include "supervisor/cgroup_tree.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "base/fd.hpp"

namespace bulkhead::supervisor {
namespace {

namespace fs = std::filesystem;

constexpr const char* controller = "hugetlb";
constexpr const char* system_name = "bulkhead-t-0";

Deadline watchdog() { return Deadline::in(std::chrono::seconds(30)); }

std::string text_of(const std::string& file) {
  const auto text = base::read_file(file);
  return text ? *text : "";
}

pid_t start_idler() {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  for (;;) ::pause();
}

// A cgroup as a service manager hands it over: the controller is offered in it, and nobody is in it.
class Delegated : public testing::Test {
 protected:
  void SetUp() override {
    const auto own = base::own_cgroup(controller);
    if (!own) GTEST_SKIP() << own.error().to_string();
    if (own->version == base::CgroupVersion::v1) GTEST_SKIP() << "hugetlb is of version 1 here";
    if (!base::has_word(text_of(own->directory + "/cgroup.controllers"), controller)) {
      GTEST_SKIP() << "our cgroup (v2) is not given the controller hugetlb";
    }
    // The hierarchy is the machine's: what one test takes back, another one may be using.
    lock_.reset(::open(own->directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_EQ(::flock(lock_.get(), LOCK_EX), 0);
    control_ = own->directory + "/cgroup.subtree_control";
    if (!base::has_word(text_of(control_), controller)) {
      const auto handed = base::write_control(control_, "+hugetlb");
      if (!handed) GTEST_SKIP() << handed.error().to_string();
      take_back_ = true;
    }
    service_ = own->directory + "/bulkhead-test-" + std::to_string(::getpid());
    std::error_code failed;
    fs::create_directory(service_, failed);
    if (failed) GTEST_SKIP() << service_ << ": " << failed.message();
  }

  void TearDown() override {
    if (!service_.empty()) {
      for (const char* below : {"/bulkhead-t-0/supervisor", "/bulkhead-t-0", ""}) {
        const auto removed = base::remove_cgroup(service_ + below);
        EXPECT_TRUE(removed) << removed.error().to_string();
      }
    }
    if (take_back_) {
      EXPECT_TRUE(base::write_control(control_, "-hugetlb"));
    }
    if (lock_.is_open()) ::flock(lock_.get(), LOCK_UN);
  }

  // What a process in the cgroup says, which plays the keeper and the brain in one. Ends with it.
  std::string within(const std::function<std::string()>& body) const {
    auto pipe = base::make_pipe().value();
    const pid_t pid = ::fork();
    if (pid == 0) {
      const auto entered = base::write_control(service_ + "/cgroup.procs", "0");
      const std::string said = entered ? body() : entered.error().to_string();
      const auto written = ::write(pipe.second.get(), said.data(), said.size());
      ::_exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
    }
    pipe.second.reset();
    std::string said;
    char chunk[4096];
    for (ssize_t n = 0; (n = ::read(pipe.first.get(), chunk, sizeof chunk)) > 0;) {
      said.append(chunk, static_cast<std::size_t>(n));
    }
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    return said;
  }

  base::UniqueFd lock_;
  std::string service_, control_;
  bool take_back_ = false;
};

std::string prepared(CgroupTree& tree) {
  const auto result = tree.prepare();
  return result ? "" : result.error().to_string();
}

TEST_F(Delegated, cgroup_is_divided_once_the_supervisor_has_moved_one_down) {
  EXPECT_EQ(within([&]() -> std::string {
              CgroupTree tree(controller, system_name, ::getpid());
              if (tree.is_there()) return "it is there before it is made";
              if (const auto why = prepared(tree); !why.empty()) return why;
              if (!tree.is_there()) return "it is not there";
              if (tree.directory("") != service_ + "/bulkhead-t-0") return tree.directory("");
              const std::string own = text_of("/proc/self/cgroup");
              if (own.find("/bulkhead-t-0/supervisor\n") == own.npos) return "we are in " + own;
              if (const auto made = tree.make("w.0.1"); !made) return made.error().to_string();
              const auto offered = text_of(tree.directory("w.0.1") + "/cgroup.controllers");
              if (!base::has_word(offered, controller)) return "the leaf is offered " + offered;
              if (const auto gone = tree.remove("w.0.1", watchdog()); !gone) {
                return gone.error().to_string();
              }
              return "as it should be";
            }),
            "as it should be");
}

TEST_F(Delegated, cgroup_is_found_again_by_the_next_brain_with_what_was_left_in_it) {
  EXPECT_EQ(within([&]() -> std::string {
              CgroupTree first(controller, system_name, ::getpid());
              if (const auto why = prepared(first); !why.empty()) return why;
              if (const auto made = first.make("w.0.1"); !made) return made.error().to_string();
              const pid_t idler = start_idler();
              const auto put = base::write_control(first.directory("w.0.1") + "/cgroup.procs",
                                                   std::to_string(idler));
              if (!put) return put.error().to_string();

              CgroupTree next(controller, system_name, ::getpid());
              if (!next.is_there()) return "it does not see what the first has made";
              if (next.directory("") != first.directory("")) return next.directory("");
              if (const auto why = prepared(next); !why.empty()) return why;
              if (next.leaves() != std::vector<std::string>{"w.0.1"}) return "it sees other leaves";
              const auto removed = next.remove("w.0.1", watchdog());
              int status = 0;
              ::waitpid(idler, &status, 0);
              if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) return "it still lives";
              if (!removed && !next.remove("w.0.1", watchdog())) return "its cgroup is still there";
              if (!next.leaves().empty()) return "there is a leaf";
              if (!next.remove_all()) return "it minds that the supervisor lives there";
              return next.is_there() ? "as it should be" : "it removed its own ground";
            }),
            "as it should be");
}

TEST_F(Delegated, cgroup_that_others_share_is_left_as_it_is) {
  const pid_t stranger = start_idler();
  const auto put = base::write_control(service_ + "/cgroup.procs", std::to_string(stranger));
  EXPECT_TRUE(put) << put.error().to_string();
  const std::string said = within([&] {
    CgroupTree tree(controller, system_name, ::getpid());
    return prepared(tree) + (tree.is_there() ? "; something was made" : "");
  });
  EXPECT_NE(said.find("is also that of process " + std::to_string(stranger)), std::string::npos)
      << said;
  EXPECT_EQ(said.find("something was made"), std::string::npos) << said;
  EXPECT_EQ(base::cgroup_members(service_), std::vector<pid_t>{stranger});
  ::kill(stranger, SIGKILL);
  ::waitpid(stranger, nullptr, 0);
}

}  // namespace
}  // namespace bulkhead::supervisor
