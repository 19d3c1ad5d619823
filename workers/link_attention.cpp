#include "workers/link_attention.hpp"

#include <utility>

#include "workers/control_link.hpp"

namespace bulkhead::workers {

LinkAttention::LinkAttention(std::shared_ptr<ControlLink> control, std::string pair)
    : control_(std::move(control)), pair_(std::move(pair)) {}

const std::atomic<std::uint32_t>& LinkAttention::word() const noexcept { return control_->word(); }
int LinkAttention::fd() const noexcept { return control_->fd(); }
void LinkAttention::service() noexcept { control_->service(); }
void LinkAttention::sleeping(bool asleep) noexcept { control_->sleeping(asleep); }

void LinkAttention::cut(std::uint16_t peer_epoch) noexcept {
  control_->tell_cut(pair_, peer_epoch);
}

bool LinkAttention::let_go(const std::function<ipc::EndUse()>&) noexcept {
  control_->tell_closed(pair_);
  return true;
}

}  // namespace bulkhead::workers
