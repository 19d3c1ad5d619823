// The Attention of one link's endpoint: ControlLink's own, and the knowledge which link it is, so that the
// supervisor hears of a Channel::close(), and of a connection that was cut. Used by ControlLink for links, whose peers are replaced;
// sessions, which end with either side, need none.
#pragma once

#include <memory>
#include <string>

#include "ipc/attention.hpp"

namespace bulkhead::workers {

class ControlLink;

class LinkAttention final : public ipc::Attention {
 public:
  LinkAttention(std::shared_ptr<ControlLink> control, std::string pair);

  const std::atomic<std::uint32_t>& word() const noexcept override;
  int fd() const noexcept override;
  void service() noexcept override;
  void sleeping(bool) noexcept override;
  void cut(std::uint16_t peer_epoch) noexcept override;
  bool let_go(const std::function<ipc::EndUse()>& use) noexcept override;

 private:
  const std::shared_ptr<ControlLink> control_;
  const std::string pair_;
};

}  // namespace bulkhead::workers
