#include "pool/dispatcher.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

namespace bulkhead::pool {
namespace {

constexpr unsigned workers_max = detail::ClaimLedger::slots_max;

unsigned valid_workers(unsigned wanted, unsigned processors) noexcept {
  return std::clamp(wanted == 0 ? processors : wanted, 1U, workers_max);
}

// Clocks count nanoseconds in 64 bits: beyond this is never, and a sum with it does not wrap.
constexpr std::chrono::nanoseconds longest_limit = std::chrono::hours(24 * 365);

PoolOptions with_limits(PoolOptions options) {
  options.grace = std::min(options.grace, longest_limit);
  return options;
}

}  // namespace

std::shared_ptr<Dispatcher> Dispatcher::start(PoolOptions options) {
  std::shared_ptr<Dispatcher> dispatcher(new Dispatcher(std::move(options)));
  {
    Lock lock(dispatcher->mutex_);
    dispatcher->begin_missing();
  }
  dispatcher->thread_ = std::thread([raw = dispatcher.get()] { raw->run(); });
  return dispatcher;
}

Dispatcher::Dispatcher(PoolOptions options)
    : options_(with_limits(std::move(options))),
      processors_(usable_processors()),
      waiting_(std::make_shared<Waiting>()),
      wanted_(valid_workers(options_.workers, processors_)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  watch(wake_.get(), EPOLLIN);
  seats_.reserve(workers_max);  // more may come while somebody walks through them
  const auto& how = options_.scheduling;
  if (how.policy != SchedulingPolicy::first_come || how.trace) schedule_.emplace(how);
  for (unsigned i = 0; i < seats_wanted(); ++i) seats_.push_back(std::make_unique<Seat>(i));
}

Dispatcher::~Dispatcher() { stop(); }

void Dispatcher::stop() {
  Lock lock(mutex_);
  if (closing_) return;
  closing_ = true;
  const auto left = std::exchange(pending_, {});
  const auto failure = failure_of_end();
  for (const auto& [number, work] : left) finish(work, failure);
  queue_.clear();
  room_.notify_all();
  idle_.notify_all();
  // The zygote's end takes the workers along; its destructor waits for it.
  zygote_.reset();
  for (auto& seat : seats_) seat->clear();
  wake();
  lock.unlock();
  if (thread_.joinable()) thread_.join();
  lock.lock();
  make_calls(lock);
}

void Dispatcher::wake() noexcept {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void Dispatcher::watch(int fd, std::uint32_t how, std::uint64_t whose) noexcept {
  epoll_event event{};
  event.events = how;
  event.data.u64 = whose;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

std::shared_ptr<detail::TaskState> Dispatcher::submit(std::uint32_t function,
                                                      detail::BodyWriter body,
                                                      const TaskOptions& options) {
  auto work = make_call(function, std::move(body), options);
  if (work->options.on_crash == OnCrash::automatic) work->options.on_crash = OnCrash::fail;
  Lock lock(mutex_);
  return enqueue(lock, std::move(work));
}

bool Dispatcher::has_room(std::size_t bytes) const noexcept {
  return pending_.empty() || (pending_.size() < options_.pending_max &&
                              pending_bytes_ + bytes <= options_.pending_bytes_max);
}

std::shared_ptr<detail::TaskState> Dispatcher::enqueue(Lock& lock, WorkPtr work) {
  work->options.timeout = std::min(work->options.timeout, longest_limit);
  // The pool's own thread, in a call of a future, is the one that would make room.
  if (!has_room(work->bytes()) && std::this_thread::get_id() != thread_.get_id()) {
    room_.wait(lock, [&] { return closing_ || has_room(work->bytes()); });
  }
  if (closing_)
    return refuse(work, FailureCause::closed, make_error(Errc::closed, "the pool has ended"));
  if (const auto fits = check_attachments(work->attachments.size()); !fits)
    return refuse(work, FailureCause::could_not_start, fits.error());
  work->number = ++last_number_;
  work->state = std::make_shared<detail::TaskState>(work->number, weak_from_this(), waiting_);
  auto state = work->state;
  pending_bytes_ += work->bytes();
  pending_.emplace(work->number, work);
  const bool waits_behind = !queue_.empty();
  take_back_lower_than(work->options.priority);
  put_in_queue(std::move(work), false);
  begin_missing();
  dispatch();
  if (waits_behind) pump();  // nobody may be looking while tasks are being submitted
  last_submit_ = clock::now();
  if (fast_asleep_) {
    fast_asleep_ = false;
    wake();
  }
  return state;
}

std::shared_ptr<detail::TaskState> Dispatcher::refuse(const WorkPtr& work, FailureCause cause,
                                                      Error why) {
  work->number = ++last_number_;
  work->state = std::make_shared<detail::TaskState>(work->number, weak_from_this(), waiting_);
  finish(work, failure_of(cause, std::move(why)));
  return work->state;
}

void Dispatcher::put_in_queue(WorkPtr work, bool first) {
  if (schedule_ && !work->range) return add_to_schedule(*work);
  auto& line = queue_[work->options.priority];
  if (first) {
    line.push_front(std::move(work));
  } else {
    line.push_back(std::move(work));
  }
}

// In the order of priority, as long as somebody can take it.
void Dispatcher::dispatch() {
  if (schedule_) return dispatch_by_policy();
  refused_ = false;
  for (auto entry = queue_.begin(); entry != queue_.end();) {
    auto& line = entry->second;
    while (!line.empty()) {
      const WorkPtr work = line.front();
      Seat* const seat = seat_for(*work);
      if (seat == nullptr) return;
      if (!give(*seat, work)) {
        if (!work->range) return;
        line.pop_front();  // a range that has nothing to give now comes back when something is put back
        continue;
      }
      if (!work->range) line.pop_front();
    }
    entry = queue_.erase(entry);
  }
  share_out();
}

// Who has least to do. A range, and what is suspected, goes to an idle one only.
Seat* Dispatcher::seat_for(const Work& work) {
  const bool wants_an_idle_one = work.range || work.options.alone ||
                                 work.options.timeout.count() != 0 ||
                                 options_.tasks_per_worker_max != 0;
  const std::size_t most = wants_an_idle_one ? 1 : offers_max;
  Seat* best = nullptr;
  for (auto& seat : seats_) {
    const bool free = seat->state == Seat::State::ready && !seat->ending &&
                      seat->index() < wanted_ &&
                      (!work.range || seat->index() < work.range->slots());
    if (!free || seat->under_way.size() >= most) continue;
    if (!seat->under_way.empty()) {
      const Work& now = *seat->under_way.front();
      if (now.range || now.options.alone || now.options.timeout.count() != 0) continue;
    }
    if (best == nullptr || seat->under_way.size() < best->under_way.size()) best = seat.get();
  }
  return best;
}

// Who is idle gets a call that waits at another, which may be at a long one.
void Dispatcher::share_out() {
  for (auto& idle : seats_) {
    if (idle->state != Seat::State::ready || idle->ending || idle->index() >= wanted_ ||
        !idle->under_way.empty()) {
      continue;
    }
    Seat* fullest = nullptr;
    for (auto& seat : seats_) {
      const std::size_t most = fullest != nullptr ? fullest->under_way.size() : 1;
      if (seat->under_way.size() > most) fullest = seat.get();
    }
    if (fullest == nullptr) return;
    // The second is the next in turn; the worker may have come to it by now, and then further ones.
    for (auto work = fullest->under_way.begin() + 1; work != fullest->under_way.end(); ++work) {
      if (!fullest->take_back((*work)->number)) continue;
      const WorkPtr moved = *work;
      fullest->under_way.erase(work);
      if (!give(*idle, moved)) put_in_queue(moved, true);
      break;
    }
  }
}

// What waits at workers goes back to where it counts who comes first.
void Dispatcher::take_back_lower_than(int priority) {
  const int lowest = std::exchange(lowest_priority_, std::min(lowest_priority_, priority));
  if (priority <= lowest) return;
  for (auto& seat : seats_) {
    for (std::size_t i = seat->under_way.size(); i > 1; --i) {
      const WorkPtr work = seat->under_way[i - 1];
      if (work->options.priority >= priority || !seat->take_back(work->number)) continue;
      seat->under_way.erase(seat->under_way.begin() + static_cast<std::ptrdiff_t>(i - 1));
      put_in_queue(work, true);
    }
  }
}

bool Dispatcher::give(Seat& seat, const WorkPtr& work) {
  return work->range ? give_part(seat, work) : give_task(seat, work);
}

bool Dispatcher::give_task(Seat& seat, const WorkPtr& work) {
  Order order;
  order.function = work->function;
  order.task = work->number;
  const auto offer = seat.offer(work->number);
  if (!offer) return false;
  order.offer = *offer;
  const auto sent = seat.send(order, work->body, work->attachments);
  if (!sent) {
    seat.forget_offer(work->number);
    refused_ |= sent.error().is(Errc::would_block) && seat.under_way.empty();
    if (sent.error().is(Errc::would_block) || sent.error().is(Errc::peer_died) ||
        sent.error().is(Errc::closed)) {
      return false;  // later, or by another
    }
    finish(work, failure_of(FailureCause::could_not_start, sent.error()));
    return true;
  }
  if (work->options.timeout.count() != 0) seat.task_deadline = clock::now() + work->options.timeout;
  seat.under_way.push_back(work);
  return true;
}

void Dispatcher::make_calls(Lock& lock) {
  while (!calls_.empty()) {
    auto calls = std::exchange(calls_, {});
    lock.unlock();
    for (auto& call : calls) call();
    lock.lock();
  }
}

// Where tasks come one after the other and somebody takes each result, neither doorbell nor wake() is worth its system
// call: for a while the pool's thread just comes back soon.
bool Dispatcher::is_watchful() const {
  constexpr auto watchful_time = std::chrono::milliseconds(10);
  const bool unarmed = std::any_of(seats_.begin(), seats_.end(), [](const auto& seat) {
    return !seat->under_way.empty() && !seat->is_armed();
  });
  return unarmed || refused_ || clock::now() - last_submit_ < watchful_time;
}

// Until a worker, the zygote or a clock has something to say.
void Dispatcher::sleep() {
  std::array<epoll_event, 32> events;
  int timeout = -1;
  {
    const Lock lock(mutex_);
    if (const auto at = next_tick()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*at - clock::now()).count();
      timeout = static_cast<int>(std::clamp<long>(left, 0, 60'000));
    }
    fast_asleep_ = !is_watchful();
    if (!fast_asleep_) timeout = 1;
  }
  const int ready =
      ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
  const Lock lock(mutex_);
  for (int i = 0; i < ready; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    // A worker whose socket has ended has died, or its task has closed it: it can report no more.
    if (event.data.u64 == 0 || (event.events & (EPOLLHUP | EPOLLRDHUP)) == 0) continue;
    for (auto& seat : seats_) {
      if (seat->birth() == event.data.u64) seat->signal(SIGKILL);
    }
  }
  std::uint64_t count = 0;
  (void)!::read(wake_.get(), &count, sizeof count);
}

void Dispatcher::run() noexcept {
  for (;;) {
    sleep();
    Lock lock(mutex_);
    if (closing_) return;
    fast_asleep_ = false;
    hear_zygote();
    make_calls(lock);  // a death is told before the successor is made, which takes longer
    if (closing_) return;
    open_channels();
    pump();
    tick(clock::now());
    begin_missing();
    dispatch();
    arm_all();
    make_calls(lock);
    if (closing_) return;
  }
}

void Dispatcher::resize(unsigned workers) {
  const Lock lock(mutex_);
  wanted_ = valid_workers(workers, processors_);
  stopped_most_ = count_stopped();
  for (auto& seat : seats_) retire_if_due(*seat);
  begin_missing();
  wake();
}

Result<void> Dispatcher::drain(Deadline deadline) {
  Lock lock(mutex_);
  arm_all();
  return drain_until_empty(lock, idle_, deadline, [this] { return pending_.size(); });
}

PoolStats Dispatcher::stats() const {
  const Lock lock(mutex_);
  PoolStats stats = stats_;
  stats.workers = wanted_;
  stats.busy = count_running();
  return stats;
}

ScheduleTrace Dispatcher::schedule_trace() const {
  const Lock lock(mutex_);
  return schedule_ ? schedule_->trace() : ScheduleTrace{};
}

std::vector<int> Dispatcher::pids() const {
  const Lock lock(mutex_);
  std::vector<int> pids;
  for (const auto& seat : seats_) {
    if (seat->state == Seat::State::ready && seat->pid() != 0) pids.push_back(seat->pid());
  }
  return pids;
}

}  // namespace bulkhead::pool
