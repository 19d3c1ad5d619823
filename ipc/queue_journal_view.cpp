#include "ipc/queue_journal_view.hpp"

#include <string>
#include <utility>

#include "ipc/end_page.hpp"

namespace bulkhead::ipc {
namespace {

Error no_journal(const std::string& why) {
  return make_error(Errc::protocol_violation, "the journal of a queue: " + why);
}

}  // namespace

Result<JournalShape> check_journal(int fd, const base::MappedRegion& region) {
  const auto size = base::file_size(fd);
  if (!size) return size.error();
  if (*size < journal_page_bytes || region.size() != *size) return no_journal("it is too small");
  const auto& header = reinterpret_cast<const JournalPage*>(region.data())->header;
  // sync queue.magic: acquire; pairs with QueueJournal::create; shows the header
  if (header.magic.load(std::memory_order_acquire) != JournalHeader::magic_value) {
    return no_journal("it does not begin with its magic");
  }
  const auto version = header.version.load(std::memory_order_relaxed);  // relaxed: after the magic
  const auto layout = header.layout.load(std::memory_order_relaxed);    // relaxed: after the magic
  if (version != JournalHeader::version_value || layout != journal_layout_hash()) {
    return make_error(Errc::version_mismatch,
                      "the journal of a queue has version " + std::to_string(version) + " layout " +
                          std::to_string(layout) + ", this program has version " +
                          std::to_string(JournalHeader::version_value) + " layout " +
                          std::to_string(journal_layout_hash()) + "; build both from one release");
  }
  JournalShape shape;
  shape.slots = header.slots.load(std::memory_order_relaxed);      // relaxed: after the magic
  shape.workers = header.workers.load(std::memory_order_relaxed);  // relaxed: after the magic
  shape.payload_bytes =
      header.payload_bytes.load(std::memory_order_relaxed);  // relaxed: after the magic
  const auto total =
      header.total_bytes.load(std::memory_order_relaxed);  // relaxed: after the magic
  if (!shape.is_sound() || shape.total_bytes() != *size || total != *size) {
    return no_journal("its sizes do not fit together");
  }
  return shape;
}

Result<QueueJournalView> QueueJournalView::map(int fd) {
  const auto size = base::file_size(fd);
  if (!size) return size.error();
  if (*size == 0) return no_journal("it is empty");
  auto region = base::MappedRegion::map(fd, *size, base::Access::read_only);
  if (!region) return region.error();
  const auto shape = check_journal(fd, *region);
  if (!shape) return shape.error();
  return QueueJournalView(std::move(*region), *shape);
}

std::uint64_t QueueJournalView::pushed() const noexcept {
  // sync queue.pushed: acquire; pairs with QueueJournal::push; shows nothing but the word
  return page().pushed.load(std::memory_order_acquire);
}

std::uint64_t QueueJournalView::outstanding() const noexcept {
  const std::uint64_t finished =
      page().finished.load(std::memory_order_relaxed);  // relaxed: a figure for reports
  const std::uint64_t all = pushed();
  return all > finished ? all - finished : 0;
}

std::uint64_t QueueJournalView::given_up_by(std::uint32_t worker) const noexcept {
  if (worker >= shape_.workers) return 0;
  const auto* const tallies =
      reinterpret_cast<const WorkerTally*>(region_.data() + shape_.tallies_at());
  const auto words = load_twin(tallies[worker].given_up);
  return words ? words->first : 0;
}

}  // namespace bulkhead::ipc
