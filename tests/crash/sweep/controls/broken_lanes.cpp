// Known to be bad: our own protocols with one mistake each. A lane whose header is stored before the
// payload, a mark that is set after the message was handed out, a record that is overwritten in place, and
// a brain that lets a successor take over from a sender that is only paused.
#include <array>
#include <atomic>
#include <cstring>

#include "ipc/end_page.hpp"
#include "ipc/lane_consumer.hpp"
#include "tests/crash/sweep/lane_stage.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

constexpr std::size_t bytes = 200;

class CommitFirst final : public Operation {
 public:
  void act(int) override {
    auto& head = ipc::record_head(memory_->ring.data(), 0);
    head = pack(ipc::RecordHeader{ipc::RecordKind::data, bytes, 1});
    std::memcpy(memory_->ring.data() + ipc::record_header_bytes, message_text(1, bytes).data(),
                bytes);
  }
  void check(Verdict& verdict) override {
    ipc::LaneConsumer consumer(memory_->ring, 0, 0);
    ipc::LaneConsumer::Record record;
    if (consumer.poll(record) != ipc::LaneConsumer::Found::record) return;
    verdict.expect(is_message(record.bytes, 1, bytes), "a committed record is torn");
  }

 private:
  struct Memory {
    alignas(4096) std::array<std::byte, 4096> ring;
  };
  Shared<Memory> memory_;
};

class MarkLate final : public Operation {
 public:
  void act(int) override {
    memory_->returned = 1;  // the application has it
    store_taken(memory_->page, {1, 64});
  }
  void check(Verdict& verdict) override {
    const bool marked = load_taken(memory_->page).position == 64;
    verdict.expect(memory_->returned == 0 || marked, "a message comes again without saying so");
  }

 private:
  struct Memory {
    ipc::EndPage page;
    std::atomic<std::uint64_t> returned;
  };
  Shared<Memory> memory_;
};

class OverwriteInPlace final : public Operation {
 public:
  OverwriteInPlace() { save(1); }
  void act(int) override { save(2); }
  void check(Verdict& verdict) override {
    const std::span<const std::byte> record(memory_->record);
    verdict.expect(is_message(record, 1, bytes) || is_message(record, 2, bytes),
                   "the record is a mixture");
  }

 private:
  struct Memory {
    std::array<std::byte, bytes> record;
  };
  void save(std::uint64_t which) {
    std::memcpy(memory_->record.data(), message_text(which, bytes).data(), bytes);
  }
  Shared<Memory> memory_;
};

// The recovery is the product's; only the death is not confirmed.
class FalseDeath final : public Operation {
 public:
  FalseDeath() {
    stage_.lap(bytes);
    for (int i = 0; i < 2; ++i) stage_.plan(bytes);
  }
  void act(int) override {
    for (std::uint64_t next = stage_.sent() + 1; next <= stage_.sent() + 2; ++next) {
      if (stage_.from.endpoint->send(message_text(next, bytes), Deadline::now())) ++*committed_;
    }
  }
  void work_beside(Verdict&) override {
    successor_ =
        open_lane_end({ipc::Side::from, 2, stage_.capacity(), stage_.from.endpoint->segment_fd()});
    successor_.meet(*stage_.to.endpoint);
    stage_.to.bury(1);
    stage_.to.meet(*successor_.endpoint);
    while (stage_.receive()) continue;
  }
  void check(Verdict& verdict) override {
    while (stage_.receive()) continue;
    verdict.expect(stage_.received() >= stage_.sent() + *committed_,
                   "a committed message was lost");
  }

 private:
  LaneStage stage_;
  LaneEnd successor_;
  Shared<std::atomic<std::uint64_t>> committed_;
};

}  // namespace

Rows broken_lanes() {
  Rows rows{{"control.commit_first", [] { return std::make_unique<CommitFirst>(); }},
            {"control.mark_late", [] { return std::make_unique<MarkLate>(); }},
            {"control.overwrite_in_place", [] { return std::make_unique<OverwriteInPlace>(); }},
            {"control.false_death", [] { return std::make_unique<FalseDeath>(); }}};
  for (Row& row : rows) row.control = true;
  rows.back().killed = false;
  rows.back().paused = true;
  return rows;
}

}  // namespace bulkhead::sweep
