// A sender is killed while it publishes: every size of message that is copied in a way of its own, into
// rings in every state. The receiver lives.
#include <atomic>
#include <optional>
#include <string>

#include "ipc/end_page.hpp"
#include "ipc/lane_record.hpp"
#include "tests/crash/sweep/lane_stage.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

// `blind`: the consumer's cursor is nonsense, which a sender with room must not even read (I4).
enum class Ring { fresh, lapped, half, full, refuses, wraps, blind };
constexpr const char* ring_names[] = {"fresh",   "lapped", "half", "full",
                                      "refuses", "wraps",  "blind"};

class Publish final : public Operation {
 public:
  Publish(Ring ring, std::size_t bytes, std::size_t capacity)
      : ring_(ring), bytes_(bytes), stage_(capacity, ring != Ring::blind) {
    if (ring != Ring::fresh && ring != Ring::blind) stage_.lap(bytes);
    if (ring == Ring::blind) forge_cursor();
    if (ring == Ring::wraps) stage_.advance_to_wrap(bytes);
    if (ring == Ring::half) {
      for (std::size_t used = 0; used < capacity / 2; used += ipc::record_bytes(bytes)) {
        if (!stage_.send(bytes)) break;
      }
    }
    if (ring == Ring::full || ring == Ring::refuses) stage_.fill(bytes);
    if (ring == Ring::full) {
      for (int i = 0; i < 2; ++i) stage_.receive();
    }
    // The one that did not fit is the victim's next.
    for (int i = 0; i < 2; ++i) stage_.plan(bytes);
    progress_->committed = stage_.sent();
  }

  void act(int) override {
    for (std::uint64_t next = stage_.sent() + 1; next <= stage_.sent() + 2; ++next) {
      if (!stage_.from.endpoint->send(message_text(next, bytes_), Deadline::now())) {
        progress_->refused = 1;
        return;
      }
      progress_->committed = next;
    }
  }
  void work_beside(Verdict& verdict) override {
    bool keep = true;  // the first of them is looked at until the end
    while (stage_.receive(keep)) keep = false;
    verdict.expect(stage_.received() >= progress_->committed, "a committed message does not come");
  }
  void check(Verdict& verdict) override {
    const std::uint64_t committed = progress_->committed;
    verdict.expect(ring_ != Ring::blind || progress_->refused == 0,
                   "(I4) a sender with room looked at the cursor");
    stage_.settle(verdict, {.committed = Range{committed, committed + 1}, .receiver = {}});
  }

 private:
  struct Progress {
    std::atomic<std::uint64_t> committed, refused;
  };
  void forge_cursor() {
    stage_.to.meet(*stage_.from.endpoint);
    forged_.emplace(
        ipc::Segment::create({.name = "forged", .ring_capacity = stage_.capacity()}).value());
    store_acknowledged(forged_->page(), {{9, 64}, 1});
    stage_.from.post(ipc::LinkUpdate::Kind::peer_segment, 1, copy_of(forged_->fd()));
  }

  const Ring ring_;
  const std::size_t bytes_;
  LaneStage stage_;
  std::optional<ipc::Segment> forged_;
  Shared<Progress> progress_;
};

}  // namespace

Rows lane_publish() {
  Rows rows;
  const auto add = [&rows](Ring ring, std::size_t bytes, std::size_t capacity) {
    rows.push_back({"lane.publish." + std::string(ring_names[static_cast<int>(ring)]) + '.' +
                        std::to_string(bytes),
                    [=] { return std::make_unique<Publish>(ring, bytes, capacity); }});
    rows.back().paused = true;
  };
  for (const std::size_t bytes : {0, 5, 8, 24, 40, 56, 64, 65, 200, 600, 1000, 2016}) {
    for (const Ring ring : {Ring::fresh, Ring::lapped, Ring::half, Ring::full, Ring::refuses}) {
      add(ring, bytes, 4096);
    }
    // Records of one line never leave a rest at the end of the ring.
    if (ipc::record_bytes(bytes) > 64) add(Ring::wraps, bytes, 4096);
  }
  for (const std::size_t bytes : {8, 200}) add(Ring::blind, bytes, 4096);
  // Copied by `rep movsb`, of which every repeat is a point.
  add(Ring::lapped, 6000, 16384);
  return rows;
}

}  // namespace bulkhead::sweep
