// Sessions: pairs for RPC between two incarnations, made when a client asks for a service by name, gone
// with either end. Used by the brain. Nothing of a session is stored: a new incarnation never sees
// what was meant for its predecessor, so a stale answer cannot exist.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ipc/control_protocol.hpp"
#include "supervisor/introducer.hpp"

namespace bulkhead::supervisor {

// Threads: the brain's loop. After a crash of the brain: resynced() learns the sessions from their
// ends; requests that waited for a provider are repeated by who asked.
class Sessions {
 public:
  struct Connected {
    std::string pair;
    base::UniqueFd socket;  // only for a client outside the tree
  };
  using Answer = std::function<void(Result<Connected>)>;

  // `next_id` gives numbers that no brain of this system has given before.
  Sessions(const SystemConfig&, const Plan&, WorkerPost, std::function<std::uint64_t()> next_id,
           std::function<bool(Slot)> is_ready);

  // `client` is nullopt for a program outside the tree. Answers at once or when a provider is
  // ready; not_found for a service that no worker provides, timed_out at `until`, out_of_budget for one
  // client with too many.
  void connect(std::optional<Slot> client, const std::string& service, TimeNs until, Answer);

  // Tries the waiting requests again: a provider may have become ready, or time have passed.
  void retry(TimeNs now);
  TimeNs next_due() const noexcept;

  // True when the pair is a session and the message was for us.
  bool offered(Slot, const ipc::LinkOffer&, base::UniqueFd& segment);
  bool closed(Slot, const ipc::LinkClosed&);
  void died(Slot);
  void resynced(Slot, const ipc::ResyncAnswer&);

 private:
  struct End {
    std::optional<Slot> slot;  // nullopt: outside the tree
    Generation generation = 0;
    base::UniqueFd segment;  // until it has been forwarded
    bool offered = false;
  };
  struct Session {
    End client, server;
    Transport transport = Transport::shm;
    Answer answer;          // until both ends are up
    bool restored = false;  // its ends told of it; then `offered` says which of them has
  };
  struct Waiting {
    std::optional<Slot> client;
    std::string service;
    TimeNs until;
    Answer answer;
  };
  struct Provider {
    Slot slot;
    Transport transport;
  };

  std::optional<Provider> find_provider(const std::string& service);
  bool provided(const std::string& service) const;
  std::size_t count_of(Slot client) const;  // sessions and waiting requests
  void open(std::optional<Slot> client, const std::string& service, Provider, Answer);
  void send_open(const std::string& name, const Session&, bool to_client,
                 const std::string& service);
  void tell(const End& receiver, const std::string& pair, ipc::LinkUpdate::Kind,
            std::vector<std::string> names = {}, std::vector<int> fds = {});
  void complete(const std::string& name, Session&);
  void restore(Slot, const ipc::ResyncAnswer::Session&, Generation);
  void end(std::map<std::string, Session>::iterator, bool client_side, ipc::LinkUpdate::Kind);

  const SystemConfig& config_;
  const Plan& plan_;
  WorkerPost post_;
  std::function<std::uint64_t()> next_id_;
  std::function<bool(Slot)> is_ready_;
  std::map<std::string, Session> sessions_;
  std::vector<Waiting> waiting_;
  std::set<Slot> resynced_;
  std::size_t turn_ = 0;  // providers are used in turn
};

}  // namespace bulkhead::supervisor
