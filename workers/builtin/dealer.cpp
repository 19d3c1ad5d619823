#include "workers/builtin/dealer.hpp"

#include <cstdio>
#include <map>
#include <string>
#include <system_error>

#include "workers/builtin/count_job.hpp"

namespace bulkhead::workers {
namespace {

class Dealer {
 public:
  Dealer(Worker& self, Queue& crunchers, const std::vector<Job>& jobs, std::uint64_t round,
         std::uint64_t poison)
      : self_(self), crunchers_(crunchers), jobs_(jobs), round_(round), poison_(poison) {}

  Result<Dealt> run() {
    while (done_ < jobs_.size() || poison_done_ < poison_) {
      if (auto fed = feed(); !fed) return fed.error();
      auto over = crunchers_.next_completion(self_.until_stop());
      if (!over) return over.error();
      take(*over);
      report();
    }
    return std::move(dealt_);
  }

 private:
  // As much as the queue takes; results make room for more.
  Result<void> feed() {
    while (next_ < jobs_.size() || planted_ < poison_) {
      const bool plant = planted_ < poison_ && planted_ * jobs_.size() <= next_ * poison_;
      const auto pushed = crunchers_.try_push(plant ? encode_poison({round_, poison_number})
                                                    : encode(jobs_[next_]));
      if (!pushed && pushed.error().is(Errc::would_block)) return {};
      if (!pushed) return pushed.error();
      if (plant) {
        poison_tasks_.push_back(*pushed);
        ++planted_;
      } else {
        tasks_.emplace(*pushed, next_++);
      }
    }
    return {};
  }

  // What a predecessor of ours had asked for is nobody's any more.
  void take(const Completion& over) {
    if (std::erase(poison_tasks_, over.task()) != 0) {
      ++poison_done_;
      if (over.quarantined()) ++dealt_.poison_given_up;
      return;
    }
    const auto known = tasks_.find(over.task());
    if (known == tasks_.end()) return;
    const std::uint32_t number = known->second;
    tasks_.erase(known);
    ++done_;
    if (over.quarantined()) {
      std::printf("given up after %u attempts: job %u\n", over.attempts(), number);
      dealt_.given_up.push_back(number);
      return;
    }
    const auto result = decode_result(over.bytes());
    if (result && result->id == jobs_[number].id && result->parts == 1) {
      merge(number, result->count, result->failures);
    } else {  // too large for a message
      const auto counted = count_job(jobs_[number], buffer_);
      merge(number, counted.count, counted.failures);
    }
  }

  void merge(std::uint32_t number, const WordCount& count, const std::vector<Failure>& failures) {
    dealt_.count.merge(count);
    for (const auto& [piece, error_number] : failures) {
      const auto& pieces = jobs_[number].pieces;
      if (piece >= pieces.size()) continue;
      dealt_.failed.push_back({pieces[piece].path, std::generic_category().message(error_number)});
    }
  }

  void report() {
    if (jobs_.empty() || done_ * 10 / jobs_.size() == reported_) return;
    reported_ = done_ * 10 / jobs_.size();
    self_.status("round=" + std::to_string(round_ & 0xffffffff) + " jobs=" + std::to_string(done_) +
                 "/" + std::to_string(jobs_.size()));
  }

  static constexpr std::uint32_t poison_number = 0xffff'ffff;

  Worker& self_;
  Queue& crunchers_;
  const std::vector<Job>& jobs_;
  const std::uint64_t round_, poison_;
  std::map<TaskId, std::uint32_t> tasks_;  // ours that are not over
  std::vector<TaskId> poison_tasks_;
  std::uint32_t next_ = 0;
  std::uint64_t planted_ = 0, poison_done_ = 0;
  std::size_t done_ = 0, reported_ = 0;  // reported_: tenths
  std::string buffer_;
  Dealt dealt_;
};

}  // namespace

Result<Dealt> deal(Worker& self, Queue& crunchers, const std::vector<Job>& jobs,
                   std::uint64_t round, std::uint64_t poison) {
  return Dealer(self, crunchers, jobs, round, poison).run();
}

}  // namespace bulkhead::workers
