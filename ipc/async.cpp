// What <bulkhead/async.hpp> starts: the operations of channels and topics, and how they complete.
#include <bulkhead/async.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/post.hpp>
#include <optional>

#include "ipc/async_operation.hpp"
#include "ipc/topic_publisher.hpp"
#include "ipc/topic_reader.hpp"

namespace bulkhead::detail {
namespace {

// Completions never run inside the call that starts them (Asio's rule), so they are posted.
template <class Completion, class Result>
void post_completion(const boost::asio::any_io_executor& executor, Completion completion,
                     Result result) {
  boost::asio::post(executor,
                    [handler = std::move(completion), delivered = std::move(result)]() mutable {
                      std::move(handler)(std::move(delivered));
                    });
}

// On a link: an endpoint, or an end of a topic.
template <class Link, class Completion, class Value>
class Operation : public ipc::AsyncOperation {
 public:
  Operation(std::shared_ptr<Link> link, boost::asio::any_io_executor executor,
            Completion completion)
      : AsyncOperation(std::move(executor)),
        link_(std::move(link)),
        completion_(std::move(completion)) {}

  void listen_for_cancellation() {
    auto slot = boost::asio::get_associated_cancellation_slot(completion_);
    if (!slot.is_connected()) return;
    slot.assign([weak = weak_from_this()](boost::asio::cancellation_type) {
      if (const auto self = weak.lock()) self->cancel();
    });
  }

 protected:
  const std::shared_ptr<Link>& link() const noexcept { return link_; }

  // True unless there is nothing to complete with yet.
  bool complete_if_over(Result<Value> result) {
    if (!result && result.error().is(Errc::would_block)) return false;
    complete(std::move(result));
    return true;
  }
  void complete_with(Error error) override { complete(std::move(error)); }

 private:
  void complete(Result<Value> result) {
    link_.reset();  // whoever waits for the result may count on the link being let go of
    // Nobody may cancel what is on its way to the caller.
    if (auto slot = boost::asio::get_associated_cancellation_slot(completion_);
        slot.is_connected()) {
      slot.clear();
    }
    post_completion(executor(), std::move(completion_), std::move(result));
  }

  std::shared_ptr<Link> link_;
  Completion completion_;
};

class SendOperation final : public Operation<ipc::Endpoint, SendCompletion, void> {
 public:
  SendOperation(std::shared_ptr<ipc::Endpoint> link, boost::asio::any_io_executor where,
                SendCompletion completion, std::vector<std::byte> bytes)
      : Operation(std::move(link), std::move(where), std::move(completion)),
        bytes_(std::move(bytes)) {}

 private:
  bool attempt() override { return complete_if_over(link()->send(bytes_, Deadline::now())); }
  ipc::Endpoint& awaited() const noexcept override { return *link(); }
  bool prepare() override { return link()->prepare_send_wait(bytes_.size()); }
  void finish() noexcept override { link()->finish_send_wait(); }
  ipc::WaitPlan plan() const override { return link()->send_plan(); }

  const std::vector<std::byte> bytes_;
};

// Waits for one subscriber after the other.
class PublishOperation final : public Operation<ipc::TopicPublisher, SendCompletion, void> {
 public:
  PublishOperation(std::shared_ptr<ipc::TopicPublisher> link, boost::asio::any_io_executor where,
                   SendCompletion completion, std::vector<std::byte> bytes)
      : Operation(std::move(link), std::move(where), std::move(completion)),
        bytes_(std::move(bytes)) {}

 private:
  bool attempt() override {
    auto published = link()->publish(bytes_, Deadline::now());
    awaited_ = link()->lacking();
    return complete_if_over(std::move(published));
  }
  ipc::Endpoint& awaited() const noexcept override { return *awaited_; }
  bool prepare() override { return awaited_->prepare_send_wait(bytes_.size()); }
  void finish() noexcept override { awaited_->finish_send_wait(); }
  ipc::WaitPlan plan() const override { return awaited_->send_plan(); }

  const std::vector<std::byte> bytes_;
  std::shared_ptr<ipc::TopicWriter> awaited_;
};

Result<Message> receive_from(const std::shared_ptr<ipc::Endpoint>& link, Deadline deadline) {
  return link->receive(deadline);
}

template <class Link, class Completion, class Value>
class ReceiveOperation final : public Operation<Link, Completion, Value> {
 public:
  using Operation<Link, Completion, Value>::Operation;

 private:
  using Operation<Link, Completion, Value>::link;

  bool attempt() override { return this->complete_if_over(receive_from(link(), Deadline::now())); }
  ipc::Endpoint& awaited() const noexcept override { return *link(); }
  bool prepare() override { return link()->prepare_receive_wait(); }
  void finish() noexcept override { link()->finish_receive_wait(); }
  ipc::WaitPlan plan() const override { return link()->receive_plan(); }
};

template <class Started>
void start(const std::shared_ptr<Started>& operation) {
  operation->listen_for_cancellation();
  operation->start();
}

}  // namespace

void start_send(std::shared_ptr<ipc::Endpoint> endpoint, boost::asio::any_io_executor executor,
                std::vector<std::byte> bytes, SendCompletion completion) {
  start(std::make_shared<SendOperation>(std::move(endpoint), std::move(executor),
                                        std::move(completion), std::move(bytes)));
}

void start_receive(std::shared_ptr<ipc::Endpoint> endpoint, boost::asio::any_io_executor executor,
                   ReceiveCompletion completion) {
  using Receive = ReceiveOperation<ipc::Endpoint, ReceiveCompletion, Message>;
  start(std::make_shared<Receive>(std::move(endpoint), std::move(executor), std::move(completion)));
}

void start_publish(Result<std::shared_ptr<ipc::TopicPublisher>> publisher,
                   boost::asio::any_io_executor executor, std::vector<std::byte> bytes,
                   SendCompletion completion) {
  if (!publisher) {
    return post_completion(executor, std::move(completion), Result<void>(publisher.error()));
  }
  start(std::make_shared<PublishOperation>(std::move(*publisher), std::move(executor),
                                           std::move(completion), std::move(bytes)));
}

void start_topic_receive(Result<std::shared_ptr<ipc::TopicReader>> reader,
                         boost::asio::any_io_executor executor, TopicCompletion completion) {
  if (!reader) {
    return post_completion(executor, std::move(completion), Result<TopicMessage>(reader.error()));
  }
  using Receive = ReceiveOperation<ipc::TopicReader, TopicCompletion, TopicMessage>;
  start(std::make_shared<Receive>(std::move(*reader), std::move(executor), std::move(completion)));
}

}  // namespace bulkhead::detail
