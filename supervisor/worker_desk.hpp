// Where workers talk to the brain: the control socket, attention bell and beat of every instance, and
// what each control message means. Used by the brain.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ipc/control_protocol.hpp"
#include "ipc/sandbox_protocol.hpp"
#include "supervisor/attention_bell.hpp"
#include "supervisor/beat_watch.hpp"
#include "supervisor/control_port.hpp"
#include "supervisor/introducer.hpp"
#include "supervisor/sealed_store.hpp"
#include "supervisor/sessions.hpp"

namespace bulkhead::supervisor {

// Threads: the brain's loop. After a crash of the brain: adopt() continues with the sockets and bells
// of the keeper's store, and asks each worker to say again what may have been lost.
class WorkerDesk {
 public:
  struct Callbacks {
    std::function<Generation(Slot)> generation;  // of the living incarnation
    std::function<std::int32_t(Slot)> pid;       // likewise
    std::function<void(Slot, Generation)> ready;
    std::function<void(Slot, const Error&)> violated;  // told once per offence
    // Its queue gave up a task; noted when this returns.
    std::function<void(const Introducer::Quarantined&, const ipc::TaskQuarantined&)> quarantined;
    std::function<Result<int>(Slot)> crash_page;  // borrowed
    // Of an instance that was a spare: its generation as that, 0 for any other; and what it is given as an instance.
    std::function<Generation(Slot)> was_spare;
    std::function<std::string(Slot)> cookie;
    std::function<Result<int>(Slot)> output;  // borrowed
  };

  WorkerDesk(boost::asio::io_context&, const SystemConfig&, const Plan&, KeeperClient&, Callbacks);
  void attach(Introducer&, Sessions&);
  void restore() { sealed_.restore(); }  // what the keeper holds from a predecessor of this brain

  // For a start: a fresh control socket; its brain end is stored. The worker's end is returned.
  Result<base::UniqueFd> open_port(Slot);
  void adopt(Slot);
  // A spare that is to be the instance: before that is decided, what a successor of this brain will need is stored;
  // after it, the spare is told, as soon as it has said hello.
  Result<void> prepare_promotion(Slot spare, Slot slot);
  void promote(Slot spare, Slot slot);
  // The exit entry was read: takes what the worker said last, then closes its port.
  void died(Slot);

  void send(Slot, std::string_view method, ipc::Json params, std::span<const int> fds);
  void ask_to_stop(Slot, Duration timeout);

  BeatWatch& beats() noexcept { return beats_; }
  // It uses the runtime: it has said hello, or answered for having done so.
  bool speaks(Slot slot) const { return desks_[slot].speaks; }
  // So has an incarnation before, as far as this brain knows.
  bool has_spoken(Slot slot) const { return desks_[slot].has_spoken; }
  const std::string& status_text(Slot slot) const { return desks_[slot].status_text; }
  // What the worker says of its strict sandbox, once it has spoken.
  const std::optional<ipc::SandboxInstalled>& sandbox(Slot slot) const {
    return desks_[slot].sandbox;
  }

 private:
  struct Hello {
    std::uint64_t id;
    base::UniqueFd beat;
  };
  struct Desk {
    std::unique_ptr<ControlPort> port;
    std::shared_ptr<Slot> whose;  // who speaks through the port: a promotion changes it
    std::optional<Hello> hello;   // of a spare: to be answered once it is an instance
    std::optional<AttentionBell> bell;
    std::string status_text;
    std::optional<ipc::SandboxInstalled> sandbox;
    bool speaks = false;
    bool has_spoken = false;
    bool awaits_resync = false;  // adopted, and its answer has not come yet
  };

  const WorkerConfig& config_of(Slot) const;
  Result<void> ensure_bell(Slot);
  void make_port(Slot, base::UniqueFd);
  void received(Slot, ipc::Packet);
  Result<void> take_request(Slot, const ipc::ControlMessage&, ipc::Packet&);
  Result<void> take_sealed(Slot, const ipc::ControlMessage&, ipc::Packet&);
  Result<void> take_answer(Slot, const ipc::ControlMessage&);
  Result<void> take_notification(Slot, const ipc::ControlMessage&, ipc::Packet&);
  Result<void> send_sandbox(Slot);
  Result<void> greet(Slot, std::uint64_t id, const ipc::Json& params, ipc::Packet&);
  Result<void> welcome(Slot, std::uint64_t id, const base::UniqueFd& beat);
  void answer(Slot, std::uint64_t id, const Result<void>&);
  bool is_its_generation(Slot, Generation) const;
  void connect_service(Slot, std::uint64_t id, const ipc::ServiceConnect&);

  boost::asio::io_context& io_;
  const SystemConfig& config_;
  const Plan& plan_;
  KeeperClient& keeper_;
  Callbacks callbacks_;
  Introducer* introducer_ = nullptr;
  Sessions* sessions_ = nullptr;
  const std::uint64_t
      resync_id_;            // of the only request that a brain makes; no two brains' are alike
  std::vector<Desk> desks_;  // by slot
  BeatWatch beats_;
  SealedStore sealed_;
};

}  // namespace bulkhead::supervisor
