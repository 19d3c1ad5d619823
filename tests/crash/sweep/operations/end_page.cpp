// The words of an end page are stored: a pair is always one that was stored together, whoever looks and
// whenever the writer died.
#include "ipc/end_page.hpp"

#include <atomic>

#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

constexpr std::uint64_t stores = 4;
constexpr std::uint64_t position_of(std::uint64_t nth) noexcept { return nth * 640; }

class EndPageStores final : public Operation {
 public:
  EndPageStores() { store(0); }
  void act(int) override {
    for (std::uint64_t nth = 1; nth <= stores; ++nth) {
      store(nth);
      memory_->done = nth;
    }
  }
  void work_beside(Verdict& verdict) override { look(verdict); }
  void check(Verdict& verdict) override {
    look(verdict);
    store(9);  // a successor's
    const auto committed = load_committed(memory_->page);
    verdict.expect(committed && committed->count == 9, "the page takes nothing any more");
  }

 private:
  struct Memory {
    ipc::EndPage page;
    std::atomic<std::uint64_t> done;
  };

  void store(std::uint64_t nth) {
    ipc::store_taken(memory_->page, {1, position_of(nth)});
    ipc::store_acknowledged(memory_->page, {{1, position_of(nth)}, nth});
    ipc::store_committed(memory_->page, {position_of(nth), nth});
  }
  void look(Verdict& verdict) {
    const std::uint64_t done = memory_->done;
    const auto in_range = [done](std::uint64_t count) {
      return count == done || count == done + 1;
    };
    const auto committed = load_committed(memory_->page);
    const auto acknowledged = load_acknowledged(memory_->page);
    const ipc::Cursor taken = load_taken(memory_->page);
    if (!verdict.expect(committed && acknowledged, "a pair of words is never at rest")) return;
    verdict.expect(
        in_range(committed->count) && committed->position == position_of(committed->count),
        "committed is no pair that was stored");
    verdict.expect(in_range(acknowledged->count) && acknowledged->cursor.epoch == 1 &&
                       acknowledged->cursor.position == position_of(acknowledged->count),
                   "acknowledged is no pair that was stored");
    verdict.expect(taken.epoch == 1 && in_range(taken.position / 640) && taken.position % 640 == 0,
                   "taken is nothing that was stored");
    verdict.expect(taken.position >= acknowledged->cursor.position,
                   "more was acknowledged than taken");
  }

  Shared<Memory> memory_;
};

}  // namespace

Rows end_page() {
  return {{"page.stores.all", [] { return std::make_unique<EndPageStores>(); }, true}};
}

}  // namespace bulkhead::sweep
