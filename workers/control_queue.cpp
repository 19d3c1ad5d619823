// The part of ControlLink that makes queues of links, and tells the supervisor of what they give up.
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "ipc/endpoint.hpp"
#include "ipc/queue_consumer.hpp"
#include "ipc/queue_dispatcher.hpp"
#include "workers/control_link.hpp"

namespace bulkhead::workers {
namespace {

class SupervisorsDesk final : public ipc::QuarantineDesk {
 public:
  explicit SupervisorsDesk(std::shared_ptr<ControlLink> control) : control_(std::move(control)) {}
  std::uint64_t report(const Report& report) override {
    return control_->report({report.pair, report.task, report.attempts, report.since_ns});
  }
  bool is_noted(std::uint64_t report) override { return control_->is_noted(report); }

 private:
  const std::shared_ptr<ControlLink> control_;
};

Result<Queue> lease_from(PairTable::Pair& pair) {
  std::optional<ipc::LeaseClock> clock;
  if (pair.shared.is_open()) {
    auto page = ipc::map_lease_page(pair.shared.get());
    if (!page) return page.error();
    clock.emplace(std::move(*page));
    pair.shared.reset();
  }
  return Queue(std::make_shared<ipc::QueueConsumer>(Channel(pair.endpoint), std::move(clock)));
}

}  // namespace

Result<Queue> ControlLink::take_queue(std::string_view link) {
  glance();
  ipc::DispatcherSpec spec;
  {
    const std::scoped_lock lock(mutex_);
    const auto pairs = pairs_.take_link(link, PairTable::LinkType::queue, SIZE_MAX);
    if (!pairs) return pairs.error();
    if (pairs->front()->open.side == ipc::Side::to) return lease_from(*pairs->front());
    spec.link = link;
    spec.max_attempts = pairs->front()->open.max_attempts;
    spec.workers = pairs->front()->open.workers;
    spec.journal = std::move(pairs->front()->shared);
    for (auto* const pair : *pairs) {
      pair->shared.reset();  // each brought it along
      spec.members.push_back({static_cast<std::uint16_t>(PairTable::peer_index(*pair)),
                              pair->open.pair, Channel(pair->endpoint)});
    }
  }
  if (!spec.journal.is_open()) {
    return make_error(Errc::protocol_violation,
                      std::string(link) + ": the supervisor sent no journal along");
  }
  spec.desk = std::make_shared<SupervisorsDesk>(shared_from_this());
  auto dispatcher = ipc::QueueDispatcher::open(std::move(spec));
  if (!dispatcher) return dispatcher.error();
  return Queue(std::move(*dispatcher));
}

std::uint64_t ControlLink::report(const ipc::TaskQuarantined& quarantined) {
  const std::scoped_lock lock(mutex_);
  return begin_request(ipc::method::task_quarantined, ipc::encode(quarantined), {});
}

// A refusal counts as well: to say it again would not help.
bool ControlLink::is_noted(std::uint64_t report) {
  const std::scoped_lock lock(mutex_);
  const auto found = requests_.find(report);
  if (found != requests_.end() && !found->second.answer) return false;
  if (found != requests_.end()) requests_.erase(found);
  return true;
}

}  // namespace bulkhead::workers
