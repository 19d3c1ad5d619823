// How a subscriber's end waits: inside a call, from outside (wait_any, Asio), and for the event loop that its handle was
// given to. On a connection that brings everything the kernel wakes it; otherwise its publisher does, who looks after
// each message for one that is armed: on a futex inside a call, else on the doorbell.
#include <poll.h>

#include "ipc/topic_reader.hpp"

namespace bulkhead::ipc {

Sleeper::End TopicReader::wait(Deadline deadline) {
  if (is_awaited()) return sleeper_.wait_for(inlet_->plan(), connections_->bell(), deadline);
  return sleeper_.wait(deadline, signs(), seen_, [this] { return is_ready(); });
}

bool TopicReader::is_ready() const noexcept {
  return (source_ && complaint_ == nullptr && source_->lane.ready()) ||
         (single_ && peer_.has_closed());
}

PeerSigns TopicReader::signs() const noexcept {
  if (!peer_.segment) return {};
  return {&peer_.segment->page().message_bell, &peer_.segment->page().cpu, peer_.barrier};
}

bool TopicReader::can_act() {
  look_around();
  return has_next() || ending().has_value();
}

bool TopicReader::prepare_receive_wait() {
  if (can_act()) return true;
  if (is_awaited()) return false;
  sleeper_.arm(Sleep::on_doorbell, peer_.barrier);
  const bool found = can_act();
  if (found || is_awaited()) sleeper_.disarm();
  return found;
}

void TopicReader::finish_receive_wait() noexcept {
  if (sleeper_.is_armed()) sleeper_.disarm();
  bell_poll_.drain(peer_.doorbells, bell);
  look_again();
}

// Before the first call there is no picture yet, but there may be a doorbell.
WaitPlan TopicReader::receive_plan() const noexcept {
  if (is_awaited()) return inlet_->plan();
  return {bell_poll_.fd(peer_.doorbells ? peer_.doorbells : link_.roster.doorbells(), bell),
          POLLIN};
}

Result<TopicDelivery> TopicReader::take(Deadline deadline) {
  return watched([&] { return take_unwatched(deadline); });
}

}  // namespace bulkhead::ipc
