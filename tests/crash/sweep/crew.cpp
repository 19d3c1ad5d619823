#include "tests/crash/sweep/crew.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "base/fd.hpp"
#include "tests/crash/sweep/one_cpu.hpp"
#include "tests/crash/sweep/runner.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

using Clock = std::chrono::steady_clock;

// A point takes less than a millisecond; on a machine that is busy with other things, not 60 s.
constexpr auto patience = std::chrono::seconds(60);

std::ptrdiff_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return std::distance(begin(all), end(all));
}

struct Crew {
  const std::vector<CalibratedRow>& rows;
  const Plan& plan;
  std::size_t workers;
  Tally& tally;
};

void sweep_one(const Crew& crew, std::uint64_t ordinal) {
  const Item item = crew.plan.item(ordinal);
  const Outcome outcome = sweep_point(crew.rows[item.row], item);
  auto& row = crew.tally.rows[item.row];
  row.retries += outcome.tries - 1;
  if (outcome.kind == Outcome::Kind::not_reached) {
    ++row.not_reached;
  } else {
    ++row.points;
  }
  if (outcome.kind == Outcome::Kind::violation) ++row.violations;
  if (outcome.kind != Outcome::Kind::good && !crew.rows[item.row].row.control) {
    crew.tally.note(ordinal, outcome.complaint);
  }
}

[[noreturn]] void work(const Crew& crew, std::size_t worker, std::uint64_t begin) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // What a victim leaves behind (a child of its own) comes to us, and can be confirmed dead.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const OneCpu here(worker);
  const auto descriptors = open_descriptors();
  for (std::uint64_t ordinal = begin; ordinal < crew.plan.size(); ++ordinal) {
    if (ordinal % crew.workers != worker) continue;
    crew.tally.at[worker] = ordinal;
    sweep_one(crew, ordinal);
    const bool row_ends = ordinal + crew.workers >= crew.plan.size() ||
                          crew.plan.item(ordinal + crew.workers).row != crew.plan.item(ordinal).row;
    if (row_ends && open_descriptors() != descriptors) {
      ++crew.tally.rows[crew.plan.item(ordinal).row].violations;
      crew.tally.note(ordinal, "the survivor has lost or gained descriptors in this row");
      _exit(3);
    }
  }
  _exit(0);
}

// One worker, and its successors where it does not come through.
class Worker {
 public:
  Worker(const Crew& crew, std::size_t number) : crew_(crew), number_(number) { start(0); }

  bool is_done() const noexcept { return done_; }
  int pidfd() const noexcept { return pidfd_.get(); }

  void look() {
    int status = 0;
    const pid_t ended = waitpid(pid_, &status, WNOHANG);
    if (ended == pid_) return bury(status);
    const std::uint64_t at = crew_.tally.at[number_];
    if (at != seen_) {
      seen_ = at;
      since_ = Clock::now();
    } else if (Clock::now() - since_ > patience) {
      hung_ = true;
      kill(pid_, SIGKILL);
      waitpid(pid_, &status, 0);
      bury(status);
    }
  }

 private:
  void start(std::uint64_t begin) {
    seen_ = begin;
    since_ = Clock::now();
    hung_ = false;
    crew_.tally.at[number_] = begin;
    pid_ = fork();
    if (pid_ < 0) give_up("sweep: fork a worker");
    if (pid_ == 0) work(crew_, number_, begin);
    pidfd_ = std::move(base::open_pidfd(pid_).value());
  }

  void bury(int status) {
    done_ = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (done_) return;
    const std::uint64_t at = crew_.tally.at[number_];
    const Item item = crew_.plan.item(at);
    auto& row = crew_.tally.rows[item.row];
    const bool told = WIFEXITED(status) && WEXITSTATUS(status) == 3;
    if (!told) {
      ++row.points;
      ++row.violations;
      const std::string how = WIFSIGNALED(status)
                                  ? "died of signal " + std::to_string(WTERMSIG(status))
                                  : "ended with status " + std::to_string(WEXITSTATUS(status));
      if (!crew_.rows[item.row].row.control) {
        crew_.tally.note(at, hung_ ? "the survivor is stuck" : "the survivor " + how);
      }
    }
    start(at + 1);
  }

  const Crew& crew_;
  const std::size_t number_;
  pid_t pid_ = -1;
  base::UniqueFd pidfd_;
  std::uint64_t seen_ = 0;
  Clock::time_point since_;
  bool hung_ = false, done_ = false;
};

}  // namespace

void sweep_all(const std::vector<CalibratedRow>& rows, const Plan& plan, std::size_t workers,
               Tally& tally) {
  if (rows.size() > rows_max) give_up("sweep: more rows than the tally has room for");
  const Crew crew{rows, plan, std::min(workers, workers_max), tally};
  std::vector<std::unique_ptr<Worker>> all;
  for (std::size_t i = 0; i < crew.workers; ++i) all.push_back(std::make_unique<Worker>(crew, i));
  constexpr int look_every_ms = 500;
  for (;;) {
    std::vector<pollfd> ends;
    for (const auto& worker : all) {
      if (!worker->is_done()) ends.push_back({worker->pidfd(), POLLIN, 0});
    }
    if (ends.empty()) return;
    poll(ends.data(), ends.size(), look_every_ms);
    for (const auto& worker : all) {
      if (!worker->is_done()) worker->look();
    }
  }
}

}  // namespace bulkhead::sweep
