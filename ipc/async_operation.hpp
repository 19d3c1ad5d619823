// One asynchronous operation: tries, waits on an endpoint's descriptor, the supervisor's and a
// timer, and tries again. Used by async.cpp; knows an endpoint only by its contract.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <memory>

#include "ipc/endpoint.hpp"

namespace bulkhead::ipc {

// Ownership: kept alive by its own pending waits. Waits run on a strand, because the executor may
// belong to several threads. Descriptors are duplicated for each wait: the endpoint may close or
// replace its own at any time.
class AsyncOperation : public std::enable_shared_from_this<AsyncOperation> {
 public:
  explicit AsyncOperation(boost::asio::any_io_executor executor);
  virtual ~AsyncOperation() = default;

  void start();
  void cancel();  // from any thread

 protected:
  // Tries once; true when it completed, with whatever result.
  virtual bool attempt() = 0;
  virtual void complete_with(Error) = 0;
  // After a try in vain: the end that is waited for, up to the next try.
  virtual Endpoint& awaited() const noexcept = 0;
  virtual bool prepare() = 0;
  virtual void finish() noexcept = 0;
  virtual WaitPlan plan() const = 0;

  const boost::asio::any_io_executor& executor() const noexcept { return executor_; }

 private:
  using Descriptor = boost::asio::posix::stream_descriptor;
  enum class Source { link, attention, timer };

  void advance();
  void arm();
  bool wait_for(Descriptor& descriptor, int fd, short events, Source source);
  void fired(Source source, bool cancelled);
  void disarm();

  const boost::asio::any_io_executor executor_;
  boost::asio::strand<boost::asio::any_io_executor> strand_;
  Descriptor link_, attention_;
  boost::asio::steady_timer timer_;
  int pending_ = 0;
  bool serve_attention_ = false, cancelled_ = false, done_ = false;
};

}  // namespace bulkhead::ipc
