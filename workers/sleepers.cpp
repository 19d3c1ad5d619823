#include "workers/sleepers.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace bulkhead::workers {
namespace {

// What this thread knows. There is one Sleepers in a worker; a test that has several uses them one after
// the other, never one inside the sleep of another.
struct Seen {
  const Sleepers* of = nullptr;
  std::uint64_t changes = 0;   // when it last looked
  std::uint64_t slept_at = 0;  // when it went to sleep
  int entered = 0;             // by one wait for several links, once for each
};
thread_local Seen seen;

Result<base::UniqueFd> make_bell() {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return errno_error(errno, "making an eventfd");
  return base::UniqueFd(fd);
}

Result<void> watch(int poll, int fd, std::uint32_t events) {
  epoll_event event = {};
  event.events = events;
  if (::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) != 0) {
    return errno_error(errno, "watching the control socket");
  }
  return {};
}

// A nonblocking eventfd fails only when it is full or empty, and either is what we want.
void write_bell(int fd) noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(fd, &one, sizeof(one));
}

bool empty_bell(int fd) noexcept {
  std::uint64_t count = 0;
  return ::read(fd, &count, sizeof(count)) == sizeof(count);
}

}  // namespace

Result<std::unique_ptr<Sleepers>> Sleepers::open(int socket) {
  std::unique_ptr<Sleepers> sleepers(new Sleepers());
  sleepers->socket_ = socket;
  sleepers->poll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!sleepers->poll_.is_open()) return errno_error(errno, "making an epoll descriptor");
  for (auto* const bell : {&sleepers->bell_, &sleepers->signal_bell_}) {
    auto made = make_bell();
    if (!made) return made.error();
    *bell = std::move(*made);
  }
  for (const int fd : {socket, sleepers->bell_.get(), sleepers->signal_bell_.get()}) {
    if (auto watched = watch(sleepers->poll_.get(), fd, EPOLLIN); !watched) return watched.error();
  }
  return sleepers;
}

void Sleepers::watch_writable(bool on) noexcept {
  const std::scoped_lock lock(mutex_);
  if (on == writable_watched_) return;
  epoll_event event = {};
  event.events = on ? EPOLLIN | EPOLLOUT : EPOLLIN;
  if (::epoll_ctl(poll_.get(), EPOLL_CTL_MOD, socket_, &event) == 0) writable_watched_ = on;
}

void Sleepers::enter() noexcept {
  const std::scoped_lock lock(mutex_);
  if (seen.of != this) seen = {this, 0, 0, 0};
  if (seen.entered++ > 0) return;
  seen.slept_at = seen.changes;
  ++asleep_;
  if (seen.changes != changes_) {  // taken between this thread's last look and here
    ++behind_;
    ring();
  }
}

void Sleepers::leave() noexcept {
  const std::scoped_lock lock(mutex_);
  if (seen.of != this || --seen.entered > 0) return;
  --asleep_;
  if (seen.slept_at != changes_) --behind_;
  if (behind_ == 0) quiet();
  seen.changes = changes_;
}

void Sleepers::looked() noexcept {
  const std::scoped_lock lock(mutex_);
  if (seen.of != this) seen = {this, 0, 0, 0};
  seen.changes = changes_;
}

void Sleepers::changed() noexcept {
  const std::scoped_lock lock(mutex_);
  ++changes_;
  behind_ = asleep_;
  if (behind_ > 0) ring();
}

void Sleepers::ring_from_signal() noexcept {
  const int saved = errno;
  write_bell(signal_bell_.get());
  errno = saved;
}

bool Sleepers::take_signal() noexcept { return empty_bell(signal_bell_.get()); }

void Sleepers::ring() noexcept {
  if (ringing_) return;
  ringing_ = true;
  write_bell(bell_.get());
}

void Sleepers::quiet() noexcept {
  if (!ringing_) return;
  ringing_ = false;
  empty_bell(bell_.get());
}

}  // namespace bulkhead::workers
