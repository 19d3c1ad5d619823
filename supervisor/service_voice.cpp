#include "supervisor/service_voice.hpp"

#include <chrono>

namespace bulkhead::supervisor {
namespace {

constexpr std::chrono::milliseconds moment{20};

std::string count_of(std::size_t count, const char* what) {
  return std::to_string(count) + " " + what;
}

}  // namespace

std::string service_message(const Plan& plan, const State& state, bool was_ready) {
  std::size_t up = 0, given_up = 0, down = 0, waiting = 0, left = 0;
  for (Slot slot = 0; slot < state.instances.size(); ++slot) {
    const InstanceState& instance = state.instances[slot];
    left += instance.pid != 0 ? 1 : 0;
    if (plan.instances[slot].is_spare) continue;
    if (is_up(instance)) {
      ++up;
    } else if (keeps_failing(instance)) {
      ++given_up;
    } else if (instance.status == InstanceStatus::disabled) {
      ++down;
    } else if (instance.status == InstanceStatus::waiting) {
      ++waiting;
    }
  }
  if (state.stopping) return "STOPPING=1\nSTATUS=stopping, " + count_of(left, "left");
  const std::size_t all = plan.first_spare();
  const bool settled = up + given_up + down + waiting == all;
  std::string text = settled || was_ready ? "READY=1\n" : "";
  text += "STATUS=" + std::to_string(up) + " of " + count_of(all, "ready");
  if (given_up > 0) text += ", " + count_of(given_up, "failing");
  if (down > 0) text += ", " + count_of(down, "stopped by hand");
  return text;
}

ServiceVoice::ServiceVoice(boost::asio::io_context& io, const Plan& plan, const State& state,
                           KeeperClient& keeper)
    : plan_(plan), state_(state), keeper_(keeper), soon_(io) {}

void ServiceVoice::changed() {
  if (waits_ || !keeper_.is_heard()) return;
  if (state_.stopping && !said_.starts_with("STOPPING")) return speak();  // it may be our last word
  waits_ = true;
  soon_.expires_after(moment);
  soon_.async_wait([this](const auto& error) {
    waits_ = false;
    if (!error) speak();
  });
}

void ServiceVoice::speak() {
  std::string text = service_message(plan_, state_, was_ready_);
  if (text == said_) return;
  was_ready_ = was_ready_ || text.starts_with("READY");
  said_ = std::move(text);
  (void)keeper_.say(said_);  // fails only when the keeper is gone, which ends us too
}

}  // namespace bulkhead::supervisor
