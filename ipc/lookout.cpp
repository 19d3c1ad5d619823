#include "ipc/lookout.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <utility>

namespace bulkhead::ipc {

Result<std::unique_ptr<Lookout>> Lookout::open() {
  base::UniqueFd poll{::epoll_create1(EPOLL_CLOEXEC)};
  if (!poll.is_open()) return errno_error(errno, "make an epoll descriptor");
  base::UniqueFd bell{::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!bell.is_open()) return errno_error(errno, "make an eventfd");
  std::unique_ptr<Lookout> lookout(new Lookout(std::move(poll), std::move(bell)));
  if (!lookout->add(lookout->bell_.get())) return errno_error(errno, "watch an eventfd");
  return lookout;
}

bool Lookout::add(int fd) noexcept {
  epoll_event event{};
  event.events = EPOLLIN;
  return fd < 0 || ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Lookout::look() noexcept {
  if (!std::exchange(watching_, false)) return;
  forget();
  static_cast<void>(::eventfd_write(bell_.get(), 1));
}

void Lookout::watch(int link, int attention) noexcept {
  BULKHEAD_ASSERT(!watching_);
  watched_ = {link, attention};
  // Short of memory: better looked at in vain than not at all.
  if (!add(link) || !add(attention)) return forget();
  watching_ = true;
  eventfd_t looks = 0;
  static_cast<void>(::eventfd_read(bell_.get(), &looks));
}

// A descriptor that was closed meanwhile has left by itself.
void Lookout::forget() noexcept {
  for (int& fd : watched_) {
    if (fd >= 0) static_cast<void>(::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, fd, nullptr));
    fd = -1;
  }
}

}  // namespace bulkhead::ipc
