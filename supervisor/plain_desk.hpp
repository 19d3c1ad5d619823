// Where programs that do not use the runtime talk to the brain: each incarnation's sd_notify(3) socket, its readiness
// descriptor, and what it stored for its successor (docs/design/notify.md). Used by the brain; WorkerDesk is the same
// for workers of the runtime.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/mapped_region.hpp"
#include "supervisor/fd_store.hpp"
#include "supervisor/notify_message.hpp"
#include "supervisor/notify_socket.hpp"
#include "supervisor/notify_watch.hpp"
#include "supervisor/ready_pipes.hpp"

namespace bulkhead::supervisor {

// What an incarnation said that cannot be asked for again: in a memory file of the keeper's store, written by the brain
// before it lets go of the message. A kill in the middle leaves the message, and the successor writes it again.
struct NotifyNote {
  enum class Phase : std::uint32_t { none, reloading, stopping };

  Generation generation = 0;  // whose it is; another's counts for nothing
  Phase phase = Phase::none;
  std::int32_t main_pid = 0, error_number = 0;
  std::uint32_t refused = 0, reserved = 0;
  TimeNs watchdog_timeout = 0;  // 0: that of the config
  char status[notify_status_max + 1] = {};
};

// Threads: the brain's loop. After a crash of the brain: adopt() goes on with the sockets of the keeper's store, in which
// lies what was sent meanwhile. What a message does it does before the message is dropped, so that one may be carried out
// twice, and every one of them may be.
class PlainDesk {
 public:
  struct Callbacks {
    std::function<Generation(Slot)> generation;  // of the living incarnation
    std::function<std::int32_t(Slot)> pid;
    std::function<bool(std::int32_t pid)>
        is_worker;                            // a living process that the brain started, whosever
    std::function<std::string(Slot)> cookie;  // in the environment of all that descends from it
    std::function<void(Slot, Generation)> ready, watchdog_expired;
    std::function<void(Slot, Generation, TimeNs until)> more_time;
    std::function<void(Slot, const Error&)> violated;  // told once per offence
  };

  PlainDesk(boost::asio::io_context&, const SystemConfig&, const Plan&, KeeperClient&, Callbacks);

  Result<PlainStart> prepare(Slot);
  void adopt(Slot);
  void became_ready(Slot);  // its watchdog counts from now on
  // The exit entry was read, of this process: takes what was said last, then closes its socket.
  void died(Slot, std::int32_t pid);
  void stopped(Slot slot) { store_.drop_all(slot); }  // on purpose: nobody comes for what it stored

  void look(TimeNs now);
  TimeNs next_look() const noexcept { return watch_.next_look(); }

  bool speaks(Slot slot) const { return desks_[slot].socket.has_value(); }
  std::string status_text(Slot) const;
  nlohmann::json status(
      Slot) const;  // "notify" of `status --json`; null for who has no such socket

 private:
  struct Desk {
    std::optional<boost::asio::posix::stream_descriptor> socket;
    std::uint64_t listens = 0;  // counts sockets: what was heard of one before may come late
    base::MappedRegion note;
    bool is_ready = false;
  };

  const WorkerConfig& config_of(Slot) const;
  void listen(Slot, base::UniqueFd);
  void await(Slot);
  bool receive_one(Slot, std::int32_t pid);
  void take(Slot, std::int32_t pid, NotifyDatagram&);
  bool is_from(Slot, std::int32_t pid, const NotifyDatagram&);
  bool descends(Slot, std::int32_t worker, std::int32_t pid,
                std::optional<std::uint32_t> uid) const;
  void carry_out(Slot, std::int32_t pid, const NotifyMessage&, std::vector<base::UniqueFd>);
  void take_descriptors(Slot, const NotifyMessage&, std::vector<base::UniqueFd>);
  void take_watchdog(Slot, const NotifyMessage&);
  void take_main_pid(Slot, std::int32_t worker, std::int32_t pid);
  void refuse(Slot, std::string what);
  Result<void> make_note(Slot);
  void remember(Slot, const std::function<void(NotifyNote&)>& change);
  NotifyNote recall(Slot) const;
  TimeNs timeout_of(Slot) const;

  boost::asio::io_context& io_;
  const SystemConfig& config_;
  const Plan& plan_;
  KeeperClient& keeper_;
  Callbacks callbacks_;
  FdStore store_;
  ReadyPipes pipes_;
  NotifyWatch watch_;
  std::vector<Desk> desks_;  // by slot
};

}  // namespace bulkhead::supervisor
