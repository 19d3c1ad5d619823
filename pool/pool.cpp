#include <bulkhead/pool.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "ipc/wake.hpp"
#include "pool/dispatcher.hpp"
#include "pool/local_engine.hpp"
#include "pool/worker_process.hpp"
#include "pool/zygote.hpp"
#include "pool/zygote_process.hpp"

namespace bulkhead {
namespace {

// A person who types the argument has no socket there.
void insist_on_socket() {
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(pool::first_fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
      type == SOCK_SEQPACKET)
    return;
  std::fprintf(
      stderr,
      "bulkhead pool: a pool starts its workers itself; run the program without this argument\n");
  ::_exit(2);
}

}  // namespace

void Pool::entry(int argc, char** argv) {
  pool::allow_zygotes(argc > 0 ? argv[0] : "");  // in workers too: a task may have a pool
  if (argc >= 2 && std::strcmp(argv[1], pool::zygote_role) == 0) {
    insist_on_socket();
    pool::live_as_zygote(argv[0]);
  }
  if (argc == 3 && std::strcmp(argv[1], pool::worker_role) == 0) {
    insist_on_socket();
    std::vector<base::UniqueFd> fds;
    for (std::size_t i = 0; i < pool::worker_fds; ++i) {
      fds.emplace_back(pool::first_fd + static_cast<int>(i));
      (void)base::set_cloexec(fds.back().get(), true);
    }
    pool::live_as_worker(std::move(fds), std::strtoull(argv[2], nullptr, 10));
  }
  ipc::register_membarrier();  // cheap only as long as there are no threads
}

Pool::Pool(PoolOptions options) {
  if (options.where == Where::processes) {
    engine_ = pool::Dispatcher::start(std::move(options));
  } else {
    engine_ = pool::LocalEngine::start(std::move(options));
  }
}
Pool::Pool(Pool&&) noexcept = default;
Pool& Pool::operator=(Pool&& other) noexcept {
  if (this != &other) {
    if (engine_) engine_->stop();
    engine_ = std::move(other.engine_);
  }
  return *this;
}
Pool::~Pool() {
  if (engine_) engine_->stop();
}

std::shared_ptr<detail::TaskState> Pool::start(std::uint32_t function, detail::BodyWriter body,
                                               const TaskOptions& options) {
  return engine_->submit(function, std::move(body), options);
}

std::shared_ptr<detail::TaskState> Pool::begin_range(detail::RangeWork work) {
  return engine_->submit_range(std::move(work));
}

// What failed as a whole failed for each of its items; the first stands for all.
detail::RangeOutcome Pool::finish_range(const std::shared_ptr<detail::TaskState>& state) {
  (void)detail::await(*state, Deadline::never());
  auto outcome = engine_->range_outcome(*state);
  if (const auto* const failure = detail::failure_of(*state))
    outcome.failures.push_back({0, *failure});
  return outcome;
}

bool Pool::stop_requested() noexcept {
  return pool::stop_is_requested() || pool::local_stop_is_requested();
}
void Pool::resize(unsigned workers) { engine_->resize(workers); }
Result<void> Pool::drain(Deadline deadline) { return engine_->drain(deadline); }
PoolStats Pool::stats() const { return engine_->stats(); }
ScheduleTrace Pool::schedule_trace() const { return engine_->schedule_trace(); }
std::vector<int> Pool::pids() const { return engine_->pids(); }

namespace detail {

std::uint32_t range_items_max(std::size_t bytes_per_item) noexcept {
  constexpr std::size_t ledger_bytes_max = std::size_t{64} << 20;
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(
      ledger_bytes_max / std::max<std::size_t>(bytes_per_item, 1), 1, std::size_t{1} << 20));
}

}  // namespace detail
}  // namespace bulkhead
