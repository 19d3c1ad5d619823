// What <bulkhead/async.hpp> starts: the two operations, and how they complete.
#include <bulkhead/async.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/post.hpp>
#include <optional>

#include "ipc/async_operation.hpp"

namespace bulkhead::detail {
namespace {

// Completions never run inside the call that starts them (Asio's rule), so they are posted.
template <class Completion, class Value>
class Operation : public ipc::AsyncOperation {
 public:
  Operation(std::shared_ptr<ipc::Endpoint> endpoint, boost::asio::any_io_executor executor,
            Completion completion)
      : AsyncOperation(std::move(endpoint), std::move(executor)),
        completion_(std::move(completion)) {}

  void listen_for_cancellation() {
    auto slot = boost::asio::get_associated_cancellation_slot(completion_);
    if (!slot.is_connected()) return;
    slot.assign([weak = weak_from_this()](boost::asio::cancellation_type) {
      if (const auto self = weak.lock()) self->cancel();
    });
  }

 protected:
  void complete(Result<Value> result) {
    let_go_of_endpoint();
    // Nobody may cancel what is on its way to the caller.
    if (auto slot = boost::asio::get_associated_cancellation_slot(completion_);
        slot.is_connected()) {
      slot.clear();
    }
    boost::asio::post(
        executor(), [completion = std::move(completion_), delivered = std::move(result)]() mutable {
          std::move(completion)(std::move(delivered));
        });
  }
  void complete_with(Error error) override { complete(std::move(error)); }

 private:
  Completion completion_;
};

class SendOperation final : public Operation<SendCompletion, void> {
 public:
  SendOperation(std::shared_ptr<ipc::Endpoint> link, boost::asio::any_io_executor where,
                SendCompletion completion, std::vector<std::byte> bytes)
      : Operation(std::move(link), std::move(where), std::move(completion)),
        bytes_(std::move(bytes)) {}

 private:
  bool attempt() override {
    auto sent = endpoint().send(bytes_, Deadline::now());
    if (!sent && sent.error().is(Errc::would_block)) return false;
    complete(std::move(sent));
    return true;
  }
  bool prepare() override { return endpoint().prepare_send_wait(bytes_.size()); }
  void finish() noexcept override { endpoint().finish_send_wait(); }
  ipc::WaitPlan plan() const override { return endpoint().send_plan(); }

  const std::vector<std::byte> bytes_;
};

class ReceiveOperation final : public Operation<ReceiveCompletion, Message> {
 public:
  using Operation::Operation;

 private:
  bool attempt() override {
    auto message = endpoint().receive(Deadline::now());
    if (!message && message.error().is(Errc::would_block)) return false;
    complete(std::move(message));
    return true;
  }
  bool prepare() override { return endpoint().prepare_receive_wait(); }
  void finish() noexcept override { endpoint().finish_receive_wait(); }
  ipc::WaitPlan plan() const override { return endpoint().receive_plan(); }
};

}  // namespace

void start_send(std::shared_ptr<ipc::Endpoint> endpoint, boost::asio::any_io_executor executor,
                std::vector<std::byte> bytes, SendCompletion completion) {
  const auto operation = std::make_shared<SendOperation>(std::move(endpoint), std::move(executor),
                                                         std::move(completion), std::move(bytes));
  operation->listen_for_cancellation();
  operation->start();
}

void start_receive(std::shared_ptr<ipc::Endpoint> endpoint, boost::asio::any_io_executor executor,
                   ReceiveCompletion completion) {
  const auto operation = std::make_shared<ReceiveOperation>(
      std::move(endpoint), std::move(executor), std::move(completion));
  operation->listen_for_cancellation();
  operation->start();
}

}  // namespace bulkhead::detail
