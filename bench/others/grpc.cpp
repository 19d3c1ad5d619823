// gRPC: a unary call over unix:, from a synchronous client to a server with callbacks, which its guide to
// performance recommends.
#include <echo.grpc.pb.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "bench/others/peers.hpp"

namespace bulkhead::bench::others {
namespace {

// Calls are answered in threads of gRPC's own, which inherit the processor of the thread that starts the server.
// The thread that waits for them wakes for the last one only: what it cost would be counted as gRPC's.
class EchoService final : public wire::Echo::CallbackService {
 public:
  grpc::ServerUnaryReactor* echo(grpc::CallbackServerContext* context, const wire::Payload* request,
                                 wire::Payload* answer) override {
    answer->set_data(request->data());
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    const std::lock_guard lock(mutex_);
    if (++answered_ == wanted_) last_one_.notify_one();
    return reactor;
  }
  // Some of them may have been answered before this is called.
  void await(std::uint64_t count) {
    std::unique_lock lock(mutex_);
    wanted_ += count;
    last_one_.wait(lock, [this] { return answered_ >= wanted_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable last_one_;
  std::uint64_t answered_ = 0, wanted_ = 0;
};

class Grpc {
 public:
  explicit Grpc(std::size_t bytes)
      : address_("unix:" + own_name("/tmp/bulkhead-bench-grpc", "call")) {
    request_.set_data(std::string(bytes, '\0'));
  }

  void enter_echo() {
    service_ = std::make_unique<EchoService>();
    server_ = grpc::ServerBuilder()
                  .AddListeningPort(address_, grpc::InsecureServerCredentials())
                  .RegisterService(service_.get())
                  .BuildAndStart();
  }
  // The first attempt may come before anybody listens; by default the next one would be a second later.
  void enter_ping() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    const auto channel =
        grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments);
    const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(10);
    if (channel->WaitForConnected(deadline)) stub_ = wire::Echo::NewStub(channel);
  }
  bool ping() {
    if (stub_ == nullptr) return false;
    grpc::ClientContext context;
    const grpc::Status status = stub_->echo(&context, request_, &answer_);
    return status.ok() && answer_.data().size() == request_.data().size();
  }
  bool serve(std::uint64_t count) {
    if (server_ != nullptr) service_->await(count);
    return server_ != nullptr;
  }
  static std::uint64_t syscalls() { return 0; }

 private:
  const std::string address_;
  wire::Payload request_, answer_;
  std::unique_ptr<wire::Echo::Stub> stub_;
  std::unique_ptr<EchoService> service_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Started start_grpc(Processors processors, std::size_t bytes) {
  return MeasuredContestant<Grpc>::start(std::make_unique<Grpc>(bytes), processors.echo);
}

}  // namespace bulkhead::bench::others
