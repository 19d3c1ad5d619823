// iceoryx 2.0: an untyped publisher and subscriber at each end, one topic a direction.
#include <unistd.h>

#include <cstring>
#include <iceoryx_posh/popo/untyped_publisher.hpp>
#include <iceoryx_posh/popo/untyped_subscriber.hpp>
#include <iceoryx_posh/popo/wait_set.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>
#include <optional>
#include <vector>

#include "bench/others/one_way.hpp"
#include "bench/others/peers.hpp"
#include "ipc/wake.hpp"

namespace bulkhead::bench::others {
namespace {

class Iceoryx {
 public:
  Iceoryx(std::size_t bytes, Waiting waiting)
      : message_(bytes), waiting_(waiting), instance_(own_name("race", "iceoryx")) {}

  void enter_echo() { open("echo", "back", "there"); }
  void enter_ping() { open("ping", "there", "back"); }
  bool put() { return send(); }
  bool get() { return receive(); }
  bool ping() { return send() && receive(); }
  bool pong() { return receive() && send(); }
  static std::uint64_t syscalls() { return 0; }

 private:
  static iox::capro::IdString_t id(const std::string& text) {
    return iox::capro::IdString_t(iox::cxx::TruncateToCapacity, text);
  }

  // It waits for its daemon by itself. What is published before the other end has subscribed would be lost.
  void open(const std::string& role, const char* out, const char* in) {
    iox::runtime::PoshRuntime::initRuntime(
        iox::RuntimeName_t(iox::cxx::TruncateToCapacity, "bulkhead-" + instance_ + "-" + role));
    // By default what a full queue holds would be dropped.
    iox::popo::PublisherOptions patient_publisher;
    patient_publisher.subscriberTooSlowPolicy = iox::popo::ConsumerTooSlowPolicy::WAIT_FOR_CONSUMER;
    iox::popo::SubscriberOptions patient_subscriber;
    patient_subscriber.queueFullPolicy = iox::popo::QueueFullPolicy::BLOCK_PRODUCER;
    publisher_.emplace(iox::capro::ServiceDescription{id("bulkhead-bench"), id(instance_), id(out)},
                       patient_publisher);
    subscriber_.emplace(iox::capro::ServiceDescription{id("bulkhead-bench"), id(instance_), id(in)},
                        patient_subscriber);
    waits_.emplace();
    (void)waits_->attachState(*subscriber_, iox::popo::SubscriberState::HAS_DATA);
    while (!publisher_->hasSubscribers() ||
           subscriber_->getSubscriptionState() != iox::SubscribeState::SUBSCRIBED) {
      ::usleep(1000);
    }
  }
  bool send() {
    bool sent = false;
    publisher_->loan(static_cast<std::uint32_t>(message_.size())).and_then([&](void*& payload) {
      std::memcpy(payload, message_.data(), message_.size());
      publisher_->publish(payload);
      sent = true;
    });
    return sent;
  }
  bool receive() {
    for (;;) {
      bool taken = false;
      subscriber_->take().and_then([&](const void* payload) {
        std::memcpy(message_.data(), payload, message_.size());
        subscriber_->release(payload);
        taken = true;
      });
      if (taken) return true;
      if (waiting_ == Waiting::blocking) {
        (void)waits_->wait();
      } else {
        ipc::cpu_pause();
      }
    }
  }

  std::vector<std::byte> message_;
  const Waiting waiting_;
  const std::string instance_;
  std::optional<iox::popo::UntypedPublisher> publisher_;
  std::optional<iox::popo::UntypedSubscriber> subscriber_;
  std::optional<iox::popo::WaitSet<>> waits_;
};

}  // namespace

Started start_iceoryx(Processors processors, std::size_t bytes, Waiting waiting) {
  return MeasuredContestant<Iceoryx>::start(std::make_unique<Iceoryx>(bytes, waiting),
                                            processors.echo);
}

StartedStream stream_iceoryx(Processors processors, std::size_t bytes) {
  return start_one_way(std::make_unique<Iceoryx>(bytes, Waiting::blocking), processors);
}

}  // namespace bulkhead::bench::others
