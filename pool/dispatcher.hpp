// The conductor of a pool: queues work, hands it to workers, takes their reports, replaces the dead. Used by Pool and by
// futures. What it decides about the dead is in dispatcher_deaths.cpp, about ranges in dispatcher_ranges.cpp, about who runs
// where a policy is asked in dispatcher_schedule.cpp.
//
// One lock guards everything. Reports are taken by whoever looks first: the pool's own thread, which sleeps on the
// doorbells of the workers, or a thread that waits for a future and looks for itself for a moment, with the
// doorbells disarmed, which spares both sides the kernel.
#pragma once

#include <bulkhead/pool.hpp>

#include <chrono>
#include <climits>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/fd.hpp"
#include "pool/engine.hpp"
#include "pool/range_job.hpp"
#include "pool/schedule.hpp"
#include "pool/seat.hpp"
#include "pool/task_state.hpp"
#include "pool/work.hpp"
#include "pool/zygote.hpp"

namespace bulkhead::pool {

class Dispatcher final : public Engine, public std::enable_shared_from_this<Dispatcher> {
 public:
  using clock = std::chrono::steady_clock;

  static std::shared_ptr<Dispatcher> start(PoolOptions);
  ~Dispatcher() override;
  // Ends everything: futures fail with `closed`, workers are gone when it returns.
  void stop() override;

  std::shared_ptr<detail::TaskState> submit(std::uint32_t function, detail::BodyWriter body,
                                            const TaskOptions& options) override;
  std::shared_ptr<detail::TaskState> submit_range(detail::RangeWork) override;
  // Once. The caller has waited for it.
  detail::RangeOutcome range_outcome(const detail::TaskState&) override;
  bool cancel(const detail::TaskState&) override;
  // Takes reports for a moment, if that may be worth while; returns early when the task has ended.
  void help(const detail::TaskState&, Deadline) override;

  void resize(unsigned workers) override;
  Result<void> drain(Deadline) override;
  PoolStats stats() const override;
  ScheduleTrace schedule_trace() const override;
  std::vector<int> pids() const override;

 private:
  explicit Dispatcher(PoolOptions);
  using Lock = std::unique_lock<std::mutex>;
  using WorkPtr = std::shared_ptr<Work>;

  void run() noexcept;
  void sleep();
  void wake() noexcept;
  void watch(int fd, std::uint32_t how, std::uint64_t whose = 0) noexcept;
  void make_calls(Lock&);

  // Each with the lock held.
  std::shared_ptr<detail::TaskState> enqueue(Lock&, WorkPtr);
  std::shared_ptr<detail::TaskState> refuse(const WorkPtr&, FailureCause, Error why);
  void put_in_queue(WorkPtr, bool first);
  bool has_room(std::size_t bytes) const noexcept;
  void begin_missing();
  void begin_worker(Seat&);
  bool begin_zygote();
  void dispatch();
  Seat* seat_for(const Work&);
  void share_out();
  void take_back_lower_than(int priority);
  unsigned seats_wanted() const noexcept;
  unsigned count_stopped() const noexcept;
  unsigned count_running() const noexcept;
  Seat* idle_seat(std::size_t below) const noexcept;
  Seat* seat_of(std::uint64_t task) const noexcept;
  void add_to_schedule(const Work&);
  void dispatch_by_policy();
  void share_idle_with_ranges();
  bool put_on(std::uint64_t task, Seat* idle);
  bool stop_for_another(std::uint64_t task);
  void go_on(Seat&);
  bool give(Seat&, const WorkPtr&);
  bool give_task(Seat&, const WorkPtr&);
  bool give_part(Seat&, const WorkPtr&);

  bool pump();  // true when something was taken
  void arm_all();
  bool is_watchful() const;
  bool take_reports(Seat&);
  void obey(Seat&, const Seat::Incoming&);
  void take_answer(Seat&, const Seat::Incoming&);
  void initialised(Seat&, const Seat::Incoming&);
  void hear_zygote();
  void open_channels();

  void become_ready(Seat&);
  void retire_if_due(Seat&);
  void on_death(Seat&, int code, int status);
  void lose_zygote();
  void lose_part(const Seat&, const WorkPtr&, const TaskFailure&, std::uint64_t late);
  void lose_task(const WorkPtr&, const TaskFailure&, bool was_running);
  void could_not_start(const Error&);
  void begin_ending(Seat&, const Work&, FailureCause, std::uint64_t item = 0);
  void check_time_limits(Seat&, clock::time_point now);
  void tick(clock::time_point now);
  void tick_ending(Seat&, clock::time_point now);
  std::optional<clock::time_point> next_tick() const;

  void settle_range(const WorkPtr&);
  void finish(const WorkPtr&, detail::TaskAnswer);
  void finish(const WorkPtr&, TaskFailure);
  void forget(const WorkPtr&);

  const PoolOptions options_;
  const unsigned processors_;
  mutable std::mutex mutex_;
  std::condition_variable room_, idle_;
  std::shared_ptr<Waiting> waiting_;
  std::vector<std::unique_ptr<Seat>> seats_;
  unsigned wanted_;  // workers
  std::optional<Zygote> zygote_;
  std::map<int, std::deque<WorkPtr>, std::greater<>> queue_;  // by priority
  int lowest_priority_ = INT_MAX;                             // that was ever submitted
  std::optional<Schedule> schedule_;          // of tasks, unless they are taken from the queue
  unsigned stopped_most_ = 0;                 // at once, so far
  bool somebody_waits_ = false;               // who could have a processor now, if there were one
  std::map<std::uint64_t, WorkPtr> pending_;  // by number: waiting or under way
  std::map<std::uint64_t, detail::RangeOutcome> outcomes_;  // of ranges, until they are fetched
  std::size_t pending_bytes_ = 0;
  std::uint64_t last_number_ = 0, last_birth_ = 0;
  unsigned failed_starts_ = 0;  // in a row
  std::string start_failure_;
  PoolStats stats_;
  bool closing_ = false;
  // The pool's thread lies in a sleep that only a doorbell or wake() ends; else it looks around every millisecond.
  bool fast_asleep_ = false;
  bool refused_ = false;  // an idle worker's channel was full; nobody tells when it is not
  clock::time_point last_submit_{};
  std::vector<std::function<void()>> calls_;  // of futures that are ready, for the pool's thread

  base::UniqueFd epoll_, wake_;
  std::thread thread_;
};

}  // namespace bulkhead::pool
