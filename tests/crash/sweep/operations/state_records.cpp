// A brain is killed while it saves: an instance, the system, an event. Its successor finds what was saved
// before or after, never a mixture ((S1), (S3) of supervisor/state_layout.hpp), and carries on.
#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <optional>
#include <string>

#include "supervisor/state_region.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

using supervisor::EventRecord;
using supervisor::InstanceState;
using supervisor::StateRegion;
using supervisor::SystemRecord;

constexpr supervisor::Slot slot = 3;
constexpr std::uint64_t saves = 3;

// The brain that dies has its mapping from enter(), since mappings of the product are not inherited.
class StateOperation : public Operation {
 public:
  StateOperation() : memory_(StateRegion::create().value()) {}
  void enter(int) final { brain_.emplace(StateRegion::map(memory_.get()).value()); }

 protected:
  struct Progress {
    std::atomic<std::uint64_t> done;
  };
  StateRegion map() const { return StateRegion::map(memory_.get()).value(); }
  StateRegion& brain() { return *brain_; }
  int memory() const noexcept { return memory_.get(); }

  Shared<Progress> progress_;

 private:
  base::UniqueFd memory_;
  std::optional<StateRegion> brain_;
};

template <class Record>
Record filled(std::uint64_t nth) {
  Record record{};
  auto* const bytes = reinterpret_cast<unsigned char*>(&record);
  for (std::size_t i = 0; i < sizeof record; ++i) {
    bytes[i] = static_cast<unsigned char>(nth * 61 + i * 7);
  }
  return record;
}

struct OfInstance {
  using Record = InstanceState;
  static void save(StateRegion& region, const Record& record) { region.save(slot, record); }
  static auto load(const StateRegion& region) { return region.load(slot); }
};
struct OfSystem {
  using Record = SystemRecord;
  static void save(StateRegion& region, const Record& record) { region.save_system(record); }
  static auto load(const StateRegion& region) { return region.load_system(); }
};

template <class Of>
class Save final : public StateOperation {
 public:
  using Record = typename Of::Record;
  void act(int) override {
    for (std::uint64_t nth = 1; nth <= saves; ++nth) {
      Of::save(brain(), records_[nth]);
      progress_->done = nth;
    }
  }
  void check(Verdict& verdict) override {
    StateRegion successor = map();
    const std::uint64_t done = progress_->done;
    const auto found = Of::load(successor);
    const bool before = done == 0 ? !found : found && is(*found, done);
    verdict.expect(before || (found && is(*found, done + 1)), "(S1) the record is a mixture");
    Of::save(successor, records_[saves + 1]);
    const auto again = Of::load(map());
    verdict.expect(again && is(*again, saves + 1), "the successor cannot save");
  }

 private:
  bool is(const Record& found, std::uint64_t nth) const {
    return nth <= saves + 1 && std::memcmp(&found, &records_[nth], sizeof found) == 0;
  }

  // How memcpy(3) copies depends on the alignment, which must not depend on the tracer's heap.
  alignas(4096) const Record records_[saves + 2] = {filled<Record>(0), filled<Record>(1),
                                                    filled<Record>(2), filled<Record>(3),
                                                    filled<Record>(4)};
};

// Into fresh memory, or over events that are 65536 older.
class Append final : public StateOperation {
 public:
  explicit Append(bool over) : first_(over ? supervisor::state_layout::event_count + 5 : 1) {
    if (!over) return;
    namespace layout = supervisor::state_layout;
    void* const mapped =
        mmap(nullptr, sizeof(layout::Layout), PROT_READ | PROT_WRITE, MAP_SHARED, memory(), 0);
    if (mapped == MAP_FAILED) give_up("sweep: map the state memory");
    auto& all = *static_cast<layout::Layout*>(mapped);
    all.header.next_event = first_;
    for (std::uint64_t old = 5; old < 5 + saves + 1; ++old) all.events[old][0] = old;
    munmap(mapped, sizeof(layout::Layout));
  }
  void act(int) override {
    for (std::uint64_t nth = 0; nth < saves; ++nth) {
      brain().append(event(first_ + nth));
      progress_->done = nth + 1;
    }
  }
  void work_beside(Verdict& verdict) override { look(verdict, map()); }
  void check(Verdict& verdict) override {
    StateRegion successor = map();
    look(verdict, successor);
    const std::uint64_t next = successor.next_event();
    verdict.expect(successor.append(event(next)) == next, "(S3) the successor does not number on");
    verdict.expect(is_event(successor, next), "(S3) the successor cannot append");
  }

 private:
  static EventRecord event(std::uint64_t sequence) {
    auto record = filled<EventRecord>(sequence);
    record.sequence = sequence;
    return record;
  }
  static bool is_event(const StateRegion& region, std::uint64_t sequence) {
    const auto found = region.read_event(sequence);
    const EventRecord wanted = event(sequence);
    return found && std::memcmp(&*found, &wanted, sizeof wanted) == 0;
  }
  void look(Verdict& verdict, const StateRegion& region) {
    const std::uint64_t done = first_ + progress_->done, next = region.next_event();
    verdict.expect(next == done || next == done + 1, "(S3) the count is not that of the events");
    for (std::uint64_t sequence = first_; sequence < next; ++sequence) {
      verdict.expect(is_event(region, sequence),
                     "(S3) event " + std::to_string(sequence) + " is not whole");
    }
    verdict.expect(!region.read_event(next), "(S3) an event is there before its time");
    // The one that is being overwritten is gone or untouched; those behind it are untouched.
    if (first_ == 1) return;
    for (std::uint64_t old = next + 1 - supervisor::state_layout::event_count; old < 5 + saves;
         ++old) {
      const auto found = region.read_event(old);
      verdict.expect(found && found->sequence == old, "(S3) an event was damaged by a later one");
    }
  }

  const std::uint64_t first_;
};

}  // namespace

Rows state_records() {
  return {
      {"state.save.instance", [] { return std::make_unique<Save<OfInstance>>(); }},
      {"state.save.system", [] { return std::make_unique<Save<OfSystem>>(); }},
      {"state.append.fresh", [] { return std::make_unique<Append>(false); }, true},
      {"state.append.over", [] { return std::make_unique<Append>(true); }, true},
  };
}

}  // namespace bulkhead::sweep
