// The pairs that this worker has an end of: links of the config and sessions of services. Used by
// ControlLink under its lock. Must not know the control socket.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"
#include "ipc/control_protocol.hpp"

namespace bulkhead::workers {

class PairTable {
 public:
  struct Pair {
    ipc::LinkOpen open;
    std::shared_ptr<ipc::Endpoint> endpoint;
    // Of a queue, until it is taken: the journal at its `from` end, at the other the lease page.
    base::UniqueFd shared;
    bool kept = false;           // its segment outlives this process, where anybody needs it to
    bool taken = false;          // somebody has its Channel
    bool closed = false;         // by us, on purpose
    std::uint16_t cut_from = 0;  // the peer's incarnation, until another connection comes; 0: none
    bool peer_gone = false;      // of a session: nobody will ever answer on it
  };

  // Opens this worker's end; what is known already is left alone and gives null.
  // Errors: those of open_endpoint, naming the pair.
  [[nodiscard]] Result<const Pair*> open(ipc::LinkOpen, base::UniqueFd predecessor,
                                         base::UniqueFd shared, std::shared_ptr<ipc::Attention>);
  // Hands what is new about a peer to its endpoint; false when there is no such pair.
  bool update(const ipc::LinkPeer&, std::vector<base::UniqueFd> fds);
  void mark_kept(const ipc::LinkKept&);
  void erase(const std::string& pair) { pairs_.erase(pair); }
  void clear() noexcept { pairs_.clear(); }

  Pair* find(const std::string& pair);
  // The pairs of one link that nobody has yet, in the order of their peers' instances, now taken.
  // Errors: not_found, naming the links that there are; already_exists when all are taken;
  // invalid_argument when the link is of another type, or when there are more than `at_most`. Nothing
  // is taken then.
  enum class LinkType : std::uint8_t { channel, topic, queue };
  [[nodiscard]] Result<std::vector<Pair*>> take_link(std::string_view link, LinkType,
                                                     std::size_t at_most);
  static LinkType type_of(const Pair&) noexcept;
  // The number of the instance at the other end: 10 for "cruncher.10".
  static std::uint32_t peer_index(const Pair&) noexcept;
  // A session on which somebody wants to call `service` of this worker; null when there is no new one.
  const Pair* take_request_for(std::string_view service);

  // Sessions that were opened for a request of ours of which no answer has told yet.
  std::vector<std::string> unclaimed_sessions() const;

  std::uint32_t link_count() const noexcept;
  bool all_kept() const noexcept;
  void describe(ipc::ResyncAnswer&) const;
  std::vector<const Pair*> all() const;

 private:
  std::string link_names() const;
  std::map<std::string, Pair> pairs_;  // by the pair's name; nodes stay where they are
};

}  // namespace bulkhead::workers
