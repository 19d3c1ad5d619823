#include "ipc/async_operation.hpp"

#include <poll.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <utility>

namespace bulkhead::ipc {

AsyncOperation::AsyncOperation(boost::asio::any_io_executor executor)
    : executor_(std::move(executor)),
      strand_(executor_),
      link_(executor_),
      attention_(executor_),
      timer_(executor_) {}

void AsyncOperation::start() {
  // The first try is the caller's own: most of the time it is all there is to do.
  if (attempt()) {
    done_ = true;
    return;
  }
  boost::asio::post(strand_, [self = shared_from_this()] { self->advance(); });
}

void AsyncOperation::cancel() {
  boost::asio::post(strand_, [self = shared_from_this()] {
    self->cancelled_ = true;
    self->disarm();
    if (self->pending_ == 0) self->advance();
  });
}

void AsyncOperation::advance() {
  if (done_) return;
  if (std::exchange(serve_attention_, false)) {
    if (const auto& attention = awaited().spec().attention) attention->service();
  }
  if (attempt()) {
    done_ = true;
  } else if (cancelled_) {
    done_ = true;
    complete_with(make_error(Errc::cancelled, "link '" + awaited().spec().link + "'"));
  } else if (prepare()) {
    // Something to look at, though perhaps not yet enough: others on this executor go first.
    finish();
    boost::asio::post(strand_, [self = shared_from_this()] { self->advance(); });
  } else {
    arm();
  }
}

void AsyncOperation::arm() {
  const auto& attention = awaited().spec().attention;
  const WaitPlan link = plan();
  const bool whole =
      wait_for(link_, link.fd, link.events, Source::link) &&
      (!attention || wait_for(attention_, attention->fd(), POLLIN, Source::attention));
  // Out of descriptors: look again soon instead of failing what may still succeed.
  const std::chrono::nanoseconds longest = !whole ? std::chrono::milliseconds(10)
                                           : attention
                                               ? attention->longest_sleep()
                                               : std::chrono::nanoseconds(std::chrono::seconds(1));
  timer_.expires_at(Deadline::in(longest).when());
  ++pending_;
  timer_.async_wait(boost::asio::bind_executor(
      strand_, [self = shared_from_this()](const boost::system::error_code& error) {
        self->fired(Source::timer, error == boost::asio::error::operation_aborted);
      }));
}

bool AsyncOperation::wait_for(Descriptor& descriptor, int fd, short events, Source source) {
  if (fd < 0) return true;
  auto copy = base::duplicate(fd);
  if (!copy) return false;
  boost::system::error_code error;
  descriptor.assign(copy->get(), error);
  if (error) return false;
  static_cast<void>(copy->release());
  ++pending_;
  descriptor.async_wait(
      (events & POLLOUT) != 0 ? Descriptor::wait_write : Descriptor::wait_read,
      boost::asio::bind_executor(
          strand_, [self = shared_from_this(), source](const boost::system::error_code& failure) {
            self->fired(source, failure == boost::asio::error::operation_aborted);
          }));
  return true;
}

// The first that fires ends the other waits; the operation goes on when all of them are over.
void AsyncOperation::fired(Source source, bool cancelled) {
  --pending_;
  if (!cancelled) {
    if (source != Source::link) serve_attention_ = true;
    disarm();
  }
  if (pending_ > 0) return;
  boost::system::error_code ignored;
  link_.close(ignored);
  attention_.close(ignored);
  finish();
  advance();
}

void AsyncOperation::disarm() {
  boost::system::error_code ignored;
  if (link_.is_open()) link_.cancel(ignored);
  if (attention_.is_open()) attention_.cancel(ignored);
  timer_.cancel();
}

}  // namespace bulkhead::ipc
