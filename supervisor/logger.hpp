// Writes the output of all workers into their log files. A process of its own (bulkhead-logger), so
// that a slow disk stalls nobody else; told by the brain over its control socket what to write where.
// docs/design/logging.md has the messages. Must not know what a worker is.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "ipc/control_packet.hpp"
#include "ipc/json_rpc.hpp"
#include "supervisor/logger_stream.hpp"

namespace bulkhead::supervisor {

class Logger {
 public:
  // Takes over the control socket. SIGTERM and SIGINT must be blocked: they end run() like the end of
  // the control socket does.
  static Result<std::unique_ptr<Logger>> open(base::UniqueFd control);

  // Until the control socket ends; everything readable by then is written.
  // Errors: what the system says of epoll, or of a packet that breaks the protocol.
  Result<void> run();

 private:
  using Id = std::uint64_t;  // what epoll carries; never reused, so a stale event hits nobody
  static constexpr Id control_id = 0, signal_id = 1;

  struct Entry {
    std::unique_ptr<LogStream> stream;
    bool armed = false;  // epoll looks at it
  };

  Logger(base::UniqueFd control, base::UniqueFd signals, base::UniqueFd poll, LogScratch scratch,
         LogScratch relief_scratch);

  Result<void> read_control();
  void obey(ipc::Packet&);
  void add(const ipc::Json& params, ipc::Packet&);
  void remove(const ipc::Json& params);
  void tell_tail(std::uint64_t id, const ipc::Json& params);
  void answer(const ipc::Json&);

  void serve(Id);
  void after_turn(Id, LogStream::Turn);
  void retry_troubled();
  void write_what_is_there(LogStream&);
  void write_all();
  void arm(Id, bool on);
  void forget(Id);

  base::UniqueFd control_, signals_, poll_;
  LogScratch scratch_;
  LogRelief relief_;
  std::unordered_map<Id, Entry> streams_;
  std::map<std::string, Id> by_name_;
  std::set<Id> troubled_;  // blocked, or with something to tell; tried again after a while
  Id next_id_ = 2;
  bool leaving_ = false;
};

}  // namespace bulkhead::supervisor
