// A keeper is killed while it reaps, and while it stores descriptors. Its death ends the system, so what
// counts is what a brain can read meanwhile, and that no death gets lost: a zombie is gone only once its
// entry is there.
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string_view>

#include "base/fd.hpp"
#include "supervisor/keeper_client.hpp"
#include "supervisor/keeper_reaper.hpp"
#include "supervisor/keeper_store.hpp"
#include "tests/crash/sweep/operations/operations.hpp"
#include "tests/crash/sweep/shared.hpp"

namespace bulkhead::sweep {
namespace {

namespace layout = supervisor::keeper_layout;
namespace state_layout = supervisor::state_layout;

constexpr std::uint32_t store_entries = 16, exit_entries = 16;

// The keeper's page, as `bulkhead run` makes it; the victim writes, others map it read-only.
class KeeperPage {
 public:
  KeeperPage() : fd_(base::make_memfd("sweep-keeper", false).value()) {
    const auto bytes = layout::page_bytes(store_entries, exit_entries);
    if (ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0) give_up("sweep: size a page");
    memory_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    if (memory_ == MAP_FAILED) give_up("sweep: map a page");
    header().magic = layout::magic;
    header().version = layout::version;
    header().store_entries = store_entries;
    header().exit_entries = exit_entries;
  }
  KeeperPage(const KeeperPage&) = delete;
  KeeperPage& operator=(const KeeperPage&) = delete;
  ~KeeperPage() { munmap(memory_, layout::page_bytes(store_entries, exit_entries)); }

  int fd() const noexcept { return fd_.get(); }
  layout::Header& header() const noexcept { return *static_cast<layout::Header*>(memory_); }
  std::span<layout::StoreEntry> store() const noexcept {
    return {reinterpret_cast<layout::StoreEntry*>(at(layout::store_offset)), store_entries};
  }
  std::span<layout::ExitEntry> exits() const noexcept {
    return {reinterpret_cast<layout::ExitEntry*>(at(layout::exits_offset(store_entries))),
            exit_entries};
  }

 private:
  std::byte* at(std::size_t offset) const noexcept {
    return static_cast<std::byte*>(memory_) + offset;
  }
  base::UniqueFd fd_;
  void* memory_ = nullptr;
};

class Reap final : public Operation {
 public:
  Reap() { reaper_->attach(page_.header(), page_.exits(), *state_); }

  void enter(int) override {
    for (std::uint32_t slot = 0; slot < children; ++slot) {
      const pid_t pid = fork();
      if (pid == 0) _exit(exit_code(slot));
      siginfo_t dead{};
      if (pid < 0 || waitid(P_PID, static_cast<id_t>(pid), &dead, WEXITED | WNOWAIT) != 0) {
        give_up("sweep: make a zombie");
      }
      progress_->pids[slot] = pid;
      state_->claims[slot] = state_layout::claim_word(slot + 1, pid);
    }
  }
  void act(int) override { reaper_->reap(-1); }
  void work_beside(Verdict& verdict) override { read_exits(verdict); }
  void check(Verdict& verdict) override {
    const std::uint64_t entries = read_exits(verdict);
    // What the dead keeper had not reaped is ours now: each death is in the ring or still to be had.
    std::uint64_t zombies = 0;
    for (const auto& pid : progress_->pids) {
      int status = 0;
      if (waitpid(pid, &status, 0) == pid) ++zombies;
    }
    verdict.expect(entries + zombies >= children, "a death was lost");
    verdict.expect(entries + zombies <= children + 1,
                   "a death was told although it was not reaped");
  }

 private:
  static constexpr std::uint32_t children = 2;
  static constexpr int exit_code(std::uint32_t slot) noexcept {
    return static_cast<int>(40 + slot);
  }
  struct Progress {
    std::array<std::atomic<pid_t>, children> pids;
  };

  // As the brain does it.
  std::uint64_t read_exits(Verdict& verdict) {
    auto socket = base::make_socketpair(SOCK_SEQPACKET).value();
    auto client = supervisor::KeeperClient::adopt(base::duplicate(page_.fd()).value().release(),
                                                  socket.first.release())
                      .value();
    std::uint64_t entries = 0;
    while (const auto entry = client.next_exit()) {
      const bool whole = entry->sequence == entries && entry->slot < children &&
                         entry->generation == entry->slot + 1 &&
                         entry->pid == progress_->pids[entry->slot] && entry->code == CLD_EXITED &&
                         entry->status == exit_code(entry->slot) && entry->t_ns != 0;
      verdict.expect(whole, "exit entry " + std::to_string(entries) + " is not whole");
      ++entries;
    }
    return entries;
  }

  KeeperPage page_;
  Shared<state_layout::Layout> state_;
  std::unique_ptr<supervisor::KeeperReaper> reaper_ = std::make_unique<supervisor::KeeperReaper>();
  Shared<Progress> progress_;
};

// put a, put b, put a again, drop b, put c into b's place.
class StoreFds final : public Operation {
 public:
  StoreFds() { store_->attach(page_.header(), page_.store()); }

  void enter(int) override {
    for (auto& fd : fds_) fd = base::duplicate(page_.fd()).value();
  }
  void act(int) override {
    put("a.long.enough.tag.to.be.torn.when.it.is.copied", 0);
    put("b", 1);
    put("a.long.enough.tag.to.be.torn.when.it.is.copied", 2);
    store_->drop("b");
    ++progress_->steps;
    put("c", 3);
  }
  void work_beside(Verdict& verdict) override { look(verdict); }
  // KeeperClient would take the numbers for descriptors of ours: the entries are read by hand.
  void check(Verdict& verdict) override { look(verdict); }

 private:
  struct Progress {
    std::atomic<std::uint64_t> steps;
  };
  void put(std::string_view tag, std::size_t which) {
    store_->put(tag, std::move(fds_[which]));
    ++progress_->steps;
  }
  void look(Verdict& verdict) {
    static constexpr std::array<std::string_view, 6> tags_after{"", "a", "ab", "ab", "a", "ac"};
    std::string found;
    const std::uint32_t end = page_.header().store_high_water;
    for (std::uint32_t i = 0; i < end && i < store_entries; ++i) {
      const auto& entry = page_.store()[i];
      if (entry.state != layout::EntryState::used) continue;
      const std::string_view tag(entry.tag, entry.tag_bytes);
      const bool whole =
          tag == "b" || tag == "c" || tag == "a.long.enough.tag.to.be.torn.when.it.is.copied";
      verdict.expect(whole && entry.fd > 2 && entry.order != 0, "a store entry is not whole");
      found += tag.substr(0, 1);
    }
    const std::size_t steps = progress_->steps;
    const bool next = steps + 1 < tags_after.size() && found == tags_after[steps + 1];
    verdict.expect(found == tags_after[steps] || next, "the store holds \"" + found + '"');
  }

  KeeperPage page_;
  std::unique_ptr<supervisor::KeeperStore> store_ = std::make_unique<supervisor::KeeperStore>();
  std::array<base::UniqueFd, 4> fds_;
  Shared<Progress> progress_;
};

}  // namespace

Rows keeper_pages() {
  return {
      {"keeper.exits.two", [] { return std::make_unique<Reap>(); }, true},
      {"keeper.store.all", [] { return std::make_unique<StoreFds>(); }, true},
  };
}

}  // namespace bulkhead::sweep
