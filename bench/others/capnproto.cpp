// Cap'n Proto RPC: a call between two vats over a pair of unix sockets. Each end runs its event loop only while
// it waits.
#include <capnp/rpc-twoparty.h>
#include <echo.capnp.h>
#include <kj/async-io.h>
#include <kj/io.h>
#include <sys/socket.h>

#include <optional>
#include <vector>

#include "base/fd.hpp"
#include "bench/others/peers.hpp"

namespace bulkhead::bench::others {
namespace {

class EchoServer final : public schema::Echo::Server {
 public:
  kj::Promise<void> echo(EchoContext context) override {
    context.getResults().setData(context.getParams().getData());
    if (--left_ == 0) last_one_->fulfill();
    return kj::READY_NOW;
  }
  kj::Promise<void> answers(std::uint64_t count) {
    left_ = count;
    auto all = kj::newPromiseAndFulfiller<void>();
    last_one_ = kj::mv(all.fulfiller);
    return kj::mv(all.promise);
  }

 private:
  std::uint64_t left_ = 0;
  kj::Own<kj::PromiseFulfiller<void>> last_one_;
};

class CapnProto {
 public:
  CapnProto(std::size_t bytes, base::FdPair sockets)
      : message_(bytes), sockets_(std::move(sockets)) {}

  void enter_echo() {
    sockets_.first.reset();
    auto server = kj::heap<EchoServer>();
    echo_ = server.get();
    vat_.emplace(kj::mv(server));
    vat_->accept(open(std::move(sockets_.second)));
  }
  void enter_ping() {
    sockets_.second.reset();
    stream_ = open(std::move(sockets_.first));
    client_.emplace(*stream_);
    remote_.emplace(client_->bootstrap().castAs<schema::Echo>());
  }
  bool ping() {
    try {
      auto request = remote_->echoRequest();
      request.setData(kj::arrayPtr(message_.data(), message_.size()));
      const auto answer = request.send().wait(io_->waitScope);
      return answer.getData().size() == message_.size();
    } catch (const kj::Exception&) {
      return false;
    }
  }
  // The last answer is sent after the loop has been told that it is the last.
  bool serve(std::uint64_t count) {
    echo_->answers(count).wait(io_->waitScope);
    io_->waitScope.poll();
    return true;
  }
  static std::uint64_t syscalls() { return 0; }

 private:
  kj::Own<kj::AsyncIoStream> open(base::UniqueFd socket) {
    io_.emplace(kj::setupAsyncIo());
    return io_->lowLevelProvider->wrapSocketFd(kj::AutoCloseFd(socket.release()));
  }

  std::vector<kj::byte> message_;
  base::FdPair sockets_;
  std::optional<kj::AsyncIoContext> io_;  // goes last: what follows lives in its loop
  kj::Own<kj::AsyncIoStream> stream_;
  std::optional<capnp::TwoPartyClient> client_;
  std::optional<schema::Echo::Client> remote_;
  std::optional<capnp::TwoPartyServer> vat_;
  EchoServer* echo_ = nullptr;  // in vat_
};

}  // namespace

Started start_capnproto(Processors processors, std::size_t bytes) {
  auto sockets = base::make_socketpair(SOCK_STREAM);
  if (!sockets) return sockets.error();
  return MeasuredContestant<CapnProto>::start(
      std::make_unique<CapnProto>(bytes, std::move(*sockets)), processors.echo);
}

}  // namespace bulkhead::bench::others
