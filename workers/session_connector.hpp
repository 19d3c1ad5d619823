// Where the calls of Worker::client go: to a session with some live instance of the service, found
// through the supervisor and found anew after a death. Must not know what is called.
#pragma once

#include <bulkhead/rpc.hpp>
#include <memory>
#include <string>

#include "workers/control_link.hpp"

namespace bulkhead::workers {

class SessionConnector final : public Connector {
 public:
  SessionConnector(std::shared_ptr<ControlLink> control, std::string service);
  ~SessionConnector() override;

  Result<Channel*> connect(Deadline) override;
  void drop() noexcept override;

 private:
  const std::shared_ptr<ControlLink> control_;
  const std::string service_;
  std::optional<ControlLink::Session> session_;
};

}  // namespace bulkhead::workers
