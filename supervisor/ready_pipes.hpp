// Readiness as s6 has it: a newline on a descriptor that the worker is given ("ready": {"type": "fd"}). The read ends lie
// in the keeper's store, so that a newline which is written while no brain lives is read by the next. Used by PlainDesk.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <map>

#include "base/fd.hpp"
#include "supervisor/core_plan.hpp"
#include "supervisor/keeper_client.hpp"

namespace bulkhead::supervisor {

// Threads: the brain's loop.
class ReadyPipes {
 public:
  struct Callbacks {
    std::function<void(Slot)> ready;
    std::function<void(Slot, const Error&)> violated;
  };

  ReadyPipes(boost::asio::io_context&, const Plan&, KeeperClient&, Callbacks);

  Result<base::UniqueFd> open(Slot);  // for a start; the worker's end is returned
  void adopt(Slot);
  void died(Slot);   // takes what it wrote last
  void close(Slot);  // no news is expected any more; idempotent

 private:
  void listen(Slot, base::UniqueFd);
  void look(Slot);
  bool take(Slot);  // false: nothing more will come

  boost::asio::io_context& io_;
  const Plan& plan_;
  KeeperClient& keeper_;
  Callbacks callbacks_;
  struct Pipe {
    boost::asio::posix::stream_descriptor end;
    std::uint64_t number;  // what was heard of one before may come late
  };
  std::map<Slot, Pipe> pipes_;
  std::uint64_t opened_ = 0;
};

}  // namespace bulkhead::supervisor
