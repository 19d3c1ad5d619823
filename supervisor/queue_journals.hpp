// The journals of a config's queues: made once, kept by the keeper, handed to each incarnation of the worker
// that fills the queue, looked into for figures. Used by the introducer; knows no message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.hpp"
#include "ipc/queue_journal_view.hpp"
#include "ipc/queue_letters.hpp"
#include "supervisor/core.hpp"
#include "supervisor/keeper_client.hpp"

namespace bulkhead::supervisor {

struct SystemConfig;

// What `scale` has room for; a tally is 64 bytes.
inline constexpr std::uint32_t journal_workers_min = 256;

// Threads: the brain's loop. After a crash of the brain: ensure() finds what the keeper has.
class QueueJournals {
 public:
  QueueJournals(const SystemConfig&, const Plan&, KeeperClient&);

  // Makes what is missing; tried again at leisure where it failed.
  void ensure();

  // How many workers the journal of this queue knows; nullopt where there is none.
  std::optional<std::uint32_t> room(std::string_view link) const;
  // An empty one in the place of what there is.
  void renew(std::size_t link);

  bool is_queue(std::size_t link) const;
  // Of a queue: borrowed; -1 while there is none.
  int fd(std::size_t link) const;
  // Why there is none, "" otherwise.
  std::string complaint(std::size_t link) const;

  std::uint64_t outstanding(std::size_t link) const;  // figures of the dispatcher
  std::uint64_t given_up_by(std::size_t link, std::uint32_t worker) const;
  ipc::QueueLetters* letters(std::size_t link);  // null while there is no journal

 private:
  struct Journal {
    base::UniqueFd fd;
    std::optional<ipc::QueueJournalView> view;
    std::optional<ipc::QueueLetters> letters;
    std::string complaint;
  };
  Result<base::UniqueFd> make(std::size_t link);
  const ipc::QueueJournalView* view(std::size_t link) const;

  const SystemConfig& config_;
  const Plan& plan_;
  KeeperClient& keeper_;
  std::map<std::size_t, Journal> journals_;  // by the position of the link
};

}  // namespace bulkhead::supervisor
