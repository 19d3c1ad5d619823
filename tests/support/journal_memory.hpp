// The journal of a queue with its memory laid open, as a killed dispatcher, or a hostile one, leaves it. Used
// by the unit tests of the journal and of its dead letters.
#pragma once

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <string_view>

#include "base/fd.hpp"
#include "ipc/queue_frame.hpp"
#include "ipc/queue_journal.hpp"

namespace bulkhead::ipc {

inline constexpr JournalShape shape = JournalShape::of(64 << 10, 3);
inline constexpr JournalLimits limits{.max_attempts = 3, .message_max = 32 << 10};

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class Journal : public testing::Test {
 protected:
  Journal() : fd(QueueJournal::create("jobs", shape).value()) {
    region =
        base::MappedRegion::map(fd.get(), shape.total_bytes(), base::Access::read_write).value();
  }

  Result<QueueJournal> try_take_over() {
    return QueueJournal::take_over(base::duplicate(fd.get()).value(), limits);
  }
  QueueJournal take_over() {
    auto journal = try_take_over();
    if (!journal) throw std::runtime_error(journal.error().to_string());
    return std::move(*journal);
  }
  SlotIndex push(QueueJournal& journal, std::string_view text) {
    return journal.push(as_bytes(text)).value();
  }
  static std::string text_of(const QueueJournal& journal, SlotIndex slot) {
    const auto bytes = journal.message(slot).subspan(queue_frame_bytes);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  JournalPage& page() { return *reinterpret_cast<JournalPage*>(region.data()); }
  TaskSlot& raw(SlotIndex slot) {
    return reinterpret_cast<TaskSlot*>(region.data() + shape.slots_at())[slot];
  }
  WorkerTally& tally(std::size_t worker) {
    return reinterpret_cast<WorkerTally*>(region.data() + shape.tallies_at())[worker];
  }
  void set(SlotIndex slot, TaskWord word) { raw(slot).word = pack(word); }

  base::UniqueFd fd;
  base::MappedRegion region;
};

}  // namespace bulkhead::ipc
