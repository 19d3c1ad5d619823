// The word with which a worker says since when it has a task, while that worker or the brain that judges it is
// killed: either the task is completed or the worker condemned, and a verdict outlives the brain that gave it.
#include "ipc/lease_page.hpp"

#include <optional>

#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

constexpr std::uint64_t first = 1000, second = 2000, timeout = 500, now = 5000;  // ns

class Lease : public Operation {
 protected:
  // As the worker and the brain have it: each a mapping of its own.
  ipc::LeaseClock clock() const {
    return ipc::LeaseClock(ipc::map_lease_page(memory_.get()).value());
  }
  ipc::LeasePage& page() const { return *reinterpret_cast<ipc::LeasePage*>(page_.data()); }
  std::uint64_t word() const { return page().word.load(); }
  static bool is_condemned(std::uint64_t word) { return (word & 1) != 0; }

  // (C2), and what the next incarnation of the worker finds.
  void check_successors(Verdict& verdict) {
    const std::uint64_t found = word();
    verdict.expect(ipc::is_overdue(page(), timeout, now) == (found != 0),
                   "(C2) a verdict is lost, or falls on who has no task");
    verdict.expect(found == 0 || is_condemned(word()), "(C2) a verdict is not noted");
    ipc::forget_lease(page());
    verdict.expect(!ipc::is_overdue(page(), timeout, now), "a successor is judged for the dead");
  }

  const base::UniqueFd memory_ = ipc::make_lease_page("sweep").value();

 private:
  const base::MappedRegion page_ = ipc::map_lease_page(memory_.get()).value();
};

class Worker final : public Lease {
 public:
  void enter(int) override { clock_.emplace(clock()); }
  void act(int) override {
    clock_->begin(first);
    ++progress_->steps;
    if (!clock_->end()) return;
    ++progress_->steps;
    clock_->begin(second);
    ++progress_->steps;
  }
  void work_beside(Verdict& verdict) override {
    const std::uint64_t before = word();
    const bool overdue = ipc::is_overdue(page(), timeout, now);
    verdict.expect(overdue == (before != 0), "(C1) the verdict is not about the word");
    condemned_ = overdue ? before >> 1 : 0;
  }
  void check(Verdict& verdict) override {
    const std::uint64_t steps = progress_->steps, found = word();
    if (condemned_ != 0) {
      verdict.expect(is_condemned(found) && found >> 1 == condemned_,
                     "(C1) a worker goes on over its verdict");
      verdict.expect(condemned_ == second || steps < 2, "(C1) a condemned worker completes");
    } else {
      const std::uint64_t after[] = {0, first << 1, 0, second << 1, second << 1};
      verdict.expect(found == after[steps] || found == after[steps + 1],
                     "the word is none that the steps allow");
    }
    check_successors(verdict);
  }

 private:
  struct Progress {
    std::atomic<std::uint64_t> steps;
  };
  std::optional<ipc::LeaseClock> clock_;
  std::uint64_t condemned_ = 0;
  Shared<Progress> progress_;
};

class Brain final : public Lease {
 public:
  Brain() { worker_.begin(first); }
  void enter(int) override { judged_.emplace(ipc::map_lease_page(memory_.get()).value()); }
  void act(int) override {
    auto& judged = *reinterpret_cast<ipc::LeasePage*>(judged_->data());
    progress_->overdue = ipc::is_overdue(judged, timeout, now);
    progress_->done = true;
  }
  void work_beside(Verdict&) override { completed_ = worker_.end(); }
  void check(Verdict& verdict) override {
    const std::uint64_t found = word();
    if (completed_) {
      verdict.expect(found == 0 && !progress_->overdue, "(C1) who has completed is condemned");
    } else {
      verdict.expect(found >> 1 == first, "the word was torn");
      verdict.expect(!progress_->done || (progress_->overdue && is_condemned(found)),
                     "(C2) a verdict is not noted");
      verdict.expect(!is_condemned(found) || !worker_.end(), "(C1) a condemned worker completes");
    }
    check_successors(verdict);
  }

 private:
  struct Progress {
    std::atomic<bool> overdue, done;
  };
  ipc::LeaseClock worker_ = clock();
  std::optional<base::MappedRegion> judged_;
  bool completed_ = false;
  Shared<Progress> progress_;
};

}  // namespace

Rows lease_word() {
  return {{"lease.worker", [] { return std::make_unique<Worker>(); }, true},
          {"lease.brain", [] { return std::make_unique<Brain>(); }, true}};
}

}  // namespace bulkhead::sweep
