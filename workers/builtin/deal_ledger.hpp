// Which job is where: not dealt, with a worker, or done. Used by the splitter. Pure bookkeeping that must
// not know channels or files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace bulkhead::workers {

// Jobs and workers are numbers from 0. A job counts once, however often its result comes.
class DealLedger {
 public:
  DealLedger(std::size_t jobs, std::size_t workers, std::size_t in_flight_max);

  // A job for `worker`, dealt to it from now on; nullopt when it has enough or there is none.
  std::optional<std::uint32_t> deal_to(std::size_t worker);
  // It could not be sent after all.
  void take_back(std::size_t worker, std::uint32_t job);

  // `worker` has been replaced. The link brings its jobs again to the successor; should it not, because
  // its transport does not keep them, they are dealt once more when nothing else is left to deal.
  void replaced(std::size_t worker);

  // A part of a result came. True when it is news and is to be merged.
  bool take_part(std::uint32_t job, std::uint32_t part, std::uint32_t parts);

  bool finished() const noexcept { return done_ == jobs_.size(); }
  std::size_t done() const noexcept { return done_; }
  std::size_t size() const noexcept { return jobs_.size(); }

 private:
  static constexpr std::size_t nobody = ~std::size_t{0};
  struct JobState {
    std::size_t worker = nobody;  // who has it
    bool done = false;
    std::vector<bool> parts;  // which came; empty before the first
  };
  void finish(JobState&);

  std::vector<JobState> jobs_;
  std::vector<std::size_t> in_flight_;
  std::size_t in_flight_max_;
  std::uint32_t next_ = 0;              // the first job that was never dealt
  std::deque<std::uint32_t> returned_;  // taken back
  std::deque<std::uint32_t> doubtful_;  // with a worker that was replaced
  std::size_t done_ = 0;
};

}  // namespace bulkhead::workers
