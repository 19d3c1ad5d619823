// A sender is killed while it publishes several messages with one commit, into rings in every state: all of
// them are there afterwards, or none. The receiver lives.
#include <array>
#include <atomic>
#include <string>

#include "ipc/lane_record.hpp"
#include "tests/crash/sweep/lane_stage.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

enum class Ring { fresh, lapped, wraps, refuses };
constexpr const char* ring_names[] = {"fresh", "lapped", "wraps", "refuses"};
constexpr std::size_t capacity = 4096;

class PublishBatch final : public Operation {
 public:
  PublishBatch(Ring ring, std::size_t bytes) : bytes_(bytes) {
    if (ring != Ring::fresh) stage_.lap(bytes);
    if (ring == Ring::wraps) stage_.advance_to_wrap(bytes);
    if (ring == Ring::refuses) stage_.fill(bytes);
    // The one that did not fit is planned already.
    for (std::size_t i = ring == Ring::refuses ? 1 : 0; i < batch; ++i) stage_.plan(bytes);
    progress_->committed = stage_.sent();
  }

  void act(int) override {
    std::array<std::span<const std::byte>, batch> messages;
    for (std::size_t i = 0; i < batch; ++i) {
      messages[i] = message_text(stage_.sent() + 1 + i, bytes_);
    }
    if (stage_.from.endpoint->send_batch(messages, Deadline::now())) progress_->committed += batch;
  }
  void work_beside(Verdict& verdict) override {
    while (stage_.receive()) continue;
    verdict.expect(stage_.received() >= progress_->committed, "a committed message does not come");
  }
  void check(Verdict& verdict) override {
    const std::uint64_t committed = progress_->committed;
    const std::uint64_t most = committed == stage_.sent() ? committed + batch : committed;
    stage_.settle(verdict, {.committed = Range{committed, most}, .batch = batch, .receiver = {}});
  }

 private:
  static constexpr std::size_t batch = 3;
  struct Progress {
    std::atomic<std::uint64_t> committed;
  };
  const std::size_t bytes_;
  LaneStage stage_{capacity};
  Shared<Progress> progress_;
};

}  // namespace

Rows lane_batch() {
  Rows rows;
  for (const std::size_t bytes : {0, 8, 56, 65, 200, 600}) {
    for (const Ring ring : {Ring::fresh, Ring::lapped, Ring::wraps, Ring::refuses}) {
      // Records of one line never leave a rest at the end of the ring.
      if (ring == Ring::wraps && ipc::record_bytes(bytes) == ipc::cache_line) continue;
      rows.push_back({"lane.batch." + std::string(ring_names[static_cast<int>(ring)]) + '.' +
                          std::to_string(bytes),
                      [=] { return std::make_unique<PublishBatch>(ring, bytes); }});
      rows.back().paused = true;
    }
  }
  return rows;
}

}  // namespace bulkhead::sweep
