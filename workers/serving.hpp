// Answers the calls of many clients in one thread: one request of each session in turn, then a sleep
// over all of them. Used by Worker::serve. Must not know what the methods do.
#pragma once

#include <bulkhead/deadline.hpp>
#include <bulkhead/rpc.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "workers/control_link.hpp"

namespace bulkhead::workers {

class Serving {
 public:
  Serving(ControlLink& control, std::string service, const Service& methods);
  ~Serving();

  // Errors: timed_out, stopped.
  Result<void> until(Deadline);

 private:
  void admit();
  bool answer_each();  // whether any session had a request
  void sleep(Deadline);
  void drop(std::size_t position);

  ControlLink& control_;
  const std::string service_;
  const Service& methods_;
  std::vector<ControlLink::Session> sessions_;
};

}  // namespace bulkhead::workers
