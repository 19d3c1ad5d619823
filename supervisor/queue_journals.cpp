#include "supervisor/queue_journals.hpp"

#include <algorithm>
#include <utility>

#include "ipc/queue_journal.hpp"
#include "supervisor/config.hpp"

namespace bulkhead::supervisor {

QueueJournals::QueueJournals(const SystemConfig& config, const Plan& plan, KeeperClient& keeper)
    : config_(config), plan_(plan), keeper_(keeper) {
  for (std::size_t link = 0; link < config.links.size(); ++link) {
    if (config.links[link].type == LinkType::queue) journals_[link];
  }
}

// Stored before anybody gets it: what a dispatcher commits to it outlives everybody but the keeper.
Result<base::UniqueFd> QueueJournals::make(std::size_t link) {
  const LinkConfig& config = config_.links[link];
  const std::string tag = "journal/" + config.name;
  if (const auto kept = keeper_.find(tag)) return base::duplicate(*kept);
  const auto workers =
      std::count_if(plan_.instances.begin(), plan_.instances.end(),
                    [&](const auto& instance) { return instance.worker == config.to.front(); });
  auto made = ipc::QueueJournal::create(
      config.name,
      ipc::JournalShape::of(config.options.capacity,
                            std::max(static_cast<std::uint32_t>(workers), journal_workers_min)));
  if (!made) return made.error();
  if (const auto stored = keeper_.put(tag, made->get()); !stored) return stored.error();
  return made;
}

void QueueJournals::ensure() {
  for (auto& [link, journal] : journals_) {
    if (journal.fd.is_open()) continue;
    auto made = make(link);
    if (made) {
      auto view = ipc::QueueJournalView::map(made->get());
      if (view) journal.view.emplace(std::move(*view));
      if (auto letters = ipc::QueueLetters::map(made->get())) {
        letters->ring();  // a brain before us may have died before it did
        journal.letters.emplace(std::move(*letters));
      }
      journal.fd = std::move(*made);
    }
    journal.complaint = made ? "" : made.error().to_string();
  }
}

std::optional<std::uint32_t> QueueJournals::room(std::string_view name) const {
  for (const auto& [link, journal] : journals_) {
    if (config_.links[link].name == name && journal.view) return journal.view->workers();
  }
  return std::nullopt;
}

// Whoever had it is dead. What it made of the tasks in it nobody can take over.
void QueueJournals::renew(std::size_t link) {
  if (!is_queue(link)) return;
  (void)keeper_.drop("journal/" + config_.links[link].name);
  journals_[link] = Journal{};
  ensure();
}

bool QueueJournals::is_queue(std::size_t link) const { return journals_.contains(link); }

int QueueJournals::fd(std::size_t link) const {
  const auto found = journals_.find(link);
  return found == journals_.end() ? -1 : found->second.fd.get();
}

std::string QueueJournals::complaint(std::size_t link) const {
  const auto found = journals_.find(link);
  return found == journals_.end() ? "" : found->second.complaint;
}

const ipc::QueueJournalView* QueueJournals::view(std::size_t link) const {
  const auto found = journals_.find(link);
  return found == journals_.end() || !found->second.view ? nullptr : &*found->second.view;
}

ipc::QueueLetters* QueueJournals::letters(std::size_t link) {
  const auto found = journals_.find(link);
  return found == journals_.end() || !found->second.letters ? nullptr : &*found->second.letters;
}

std::uint64_t QueueJournals::outstanding(std::size_t link) const {
  const auto* const journal = view(link);
  return journal != nullptr ? journal->outstanding() : 0;
}

std::uint64_t QueueJournals::given_up_by(std::size_t link, std::uint32_t worker) const {
  const auto* const journal = view(link);
  return journal != nullptr ? journal->given_up_by(worker) : 0;
}

}  // namespace bulkhead::supervisor
