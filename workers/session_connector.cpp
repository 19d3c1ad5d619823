#include "workers/session_connector.hpp"

#include <utility>

namespace bulkhead::workers {

SessionConnector::SessionConnector(std::shared_ptr<ControlLink> control, std::string service)
    : control_(std::move(control)), service_(std::move(service)) {}

SessionConnector::~SessionConnector() { drop(); }

// A server that died between two calls has failed none of them: the next one goes to another at once.
Result<Channel*> SessionConnector::connect(Deadline deadline) {
  if (session_ && control_->peer_gone(session_->pair)) drop();
  if (!session_) {
    auto session = control_->connect(service_, deadline);
    if (!session) return session.error();
    session_ = std::move(*session);
  }
  return &*session_->channel;
}

void SessionConnector::drop() noexcept {
  if (!session_) return;
  session_->channel->close();
  control_->close_session(session_->pair);
  session_.reset();
}

}  // namespace bulkhead::workers
