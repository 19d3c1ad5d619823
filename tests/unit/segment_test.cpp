// Segments and end pages: what a peer may not do to them, and what a reader finds after a kill.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <new>
#include <thread>

#include "base/fd.hpp"
#include "ipc/end_page.hpp"
#include "ipc/epoch.hpp"
#include "ipc/segment.hpp"
#include "tests/support/descriptors.hpp"

namespace bulkhead::ipc {
namespace {

Segment make_segment(SegmentSpec spec = {.name = "test", .epoch = 3, .ring_capacity = 4096}) {
  auto segment = Segment::create(spec);
  EXPECT_TRUE(segment) << segment.error().to_string();
  return std::move(*segment);
}

Result<PeerSegment> attach(const Segment& segment) {
  return Segment::attach_peer(std::move(*base::duplicate(segment.fd())));
}

// A memory file with a page that `forge` may write, as a hostile peer would offer it.
Result<PeerSegment> attach_forged(
    std::size_t bytes, int seals, const std::function<void(EndPage&)>& forge = [](EndPage&) {}) {
  auto fd = std::move(*base::make_memfd("forged", true));
  EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
  if (bytes >= end_page_bytes) {
    void* address = mmap(nullptr, end_page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    auto* page = new (address) EndPage{};
    page->header.magic = SegmentHeader::magic_value;
    page->header.version = SegmentHeader::version_value;
    page->header.layout = segment_layout_hash();
    page->header.total_bytes = bytes;
    page->header.ring_offset = end_page_bytes;
    page->header.ring_capacity = bytes - end_page_bytes;
    page->header.epoch = 1;
    forge(*page);
    munmap(address, end_page_bytes);
  }
  EXPECT_EQ(fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  return Segment::attach_peer(std::move(fd));
}

constexpr int all_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
constexpr std::size_t lane_bytes = end_page_bytes + 4096;

TEST(Segment, shows_the_peer_what_its_owner_declared) {
  const Segment own =
      make_segment({.name = "a", .epoch = 7, .ring_capacity = 8192, .base_index = 99});
  const auto seen = attach(own);
  ASSERT_TRUE(seen) << seen.error().to_string();
  EXPECT_EQ(seen->facts().epoch, 7);
  EXPECT_EQ(seen->facts().base_index, 99U);
  EXPECT_EQ(seen->facts().ring_capacity, 8192U);
  EXPECT_EQ(seen->facts().membarrier, own.facts().membarrier);
  EXPECT_EQ(seen->ring().size(), 8192U);
}

TEST(Segment, without_a_ring_is_one_page) {
  const Segment own = make_segment({.name = "counts"});
  const auto seen = attach(own);
  ASSERT_TRUE(seen) << seen.error().to_string();
  EXPECT_EQ(seen->ring().size(), 0U);
}

TEST(Segment, refuses_every_further_writable_mapping) {
  const Segment own = make_segment();
  EXPECT_EQ(mmap(nullptr, lane_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, own.fd(), 0), MAP_FAILED);
  EXPECT_EQ(errno, EPERM);
  void* seen = mmap(nullptr, lane_bytes, PROT_READ, MAP_SHARED, own.fd(), 0);
  ASSERT_NE(seen, MAP_FAILED);
  EXPECT_EQ(mprotect(seen, lane_bytes, PROT_READ | PROT_WRITE), -1);
  munmap(seen, lane_bytes);
  const char byte = 1;
  EXPECT_EQ(pwrite(own.fd(), &byte, 1, 0), -1);
  EXPECT_EQ(ftruncate(own.fd(), 0), -1);
}

TEST(Segment, stays_out_of_forked_children_unless_told_otherwise) {
  Segment private_one = make_segment();
  Segment shared_one = make_segment({.name = "s", .ring_capacity = 4096, .survives_fork = true});
  const pid_t child = fork();
  if (child == 0) {
    const auto mapped = [](void* address) { return msync(address, end_page_bytes, MS_ASYNC) == 0; };
    _exit((mapped(&private_one.page()) ? 1 : 0) + (mapped(&shared_one.page()) ? 2 : 0));
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 2);
}

TEST(Segment, refuses_capacities_that_no_ring_can_have) {
  for (const std::size_t capacity : {std::size_t{1}, std::size_t{2048}, std::size_t{5000}}) {
    const auto segment = Segment::create({.name = "bad", .ring_capacity = capacity});
    ASSERT_FALSE(segment);
    EXPECT_TRUE(segment.error().is(Errc::invalid_argument)) << segment.error().to_string();
  }
  EXPECT_FALSE(Segment::create({.name = "bad", .epoch = 0}));
}

TEST(Segment, leaves_no_descriptor_behind) {
  const auto before = test::open_descriptors();
  {
    const Segment own = make_segment();
    ASSERT_TRUE(attach(own));
    EXPECT_FALSE(attach_forged(100, all_seals));
  }
  EXPECT_EQ(test::open_descriptors(), before);
}

struct Forgery {
  const char* name;
  std::size_t bytes;
  int seals;
  std::function<void(EndPage&)> forge;
  Errc expected;
};

class ForgedSegment : public testing::TestWithParam<Forgery> {};

TEST_P(ForgedSegment, is_refused) {
  const Forgery& forgery = GetParam();
  const auto segment = attach_forged(forgery.bytes, forgery.seals, forgery.forge);
  ASSERT_FALSE(segment);
  EXPECT_TRUE(segment.error().is(forgery.expected)) << segment.error().to_string();
}

const auto as_it_is = [](EndPage&) {};
INSTANTIATE_TEST_SUITE_P(
    , ForgedSegment,
    testing::Values(
        Forgery{"that_can_still_shrink", lane_bytes, all_seals & ~F_SEAL_SHRINK, as_it_is,
                Errc::protocol_violation},
        Forgery{"that_can_still_be_written", lane_bytes, all_seals & ~F_SEAL_FUTURE_WRITE, as_it_is,
                Errc::protocol_violation},
        Forgery{"that_can_still_be_unsealed", lane_bytes, all_seals & ~F_SEAL_SEAL, as_it_is,
                Errc::protocol_violation},
        Forgery{"smaller_than_a_page", 100, all_seals, as_it_is, Errc::protocol_violation},
        Forgery{"without_magic", lane_bytes, all_seals, [](EndPage& p) { p.header.magic = 1; },
                Errc::protocol_violation},
        Forgery{"of_another_version", lane_bytes, all_seals,
                [](EndPage& p) { p.header.version = 77; }, Errc::version_mismatch},
        Forgery{"of_another_layout", lane_bytes, all_seals,
                [](EndPage& p) { p.header.layout = 77; }, Errc::version_mismatch},
        Forgery{"that_claims_to_be_larger", lane_bytes, all_seals,
                [](EndPage& p) { p.header.total_bytes = lane_bytes * 2; },
                Errc::protocol_violation},
        Forgery{"whose_ring_is_larger_than_it", lane_bytes, all_seals,
                [](EndPage& p) { p.header.ring_capacity = 1 << 20; }, Errc::protocol_violation},
        Forgery{"whose_ring_begins_in_the_page", lane_bytes, all_seals,
                [](EndPage& p) { p.header.ring_offset = 64; }, Errc::protocol_violation},
        Forgery{"whose_ring_is_no_power_of_two", end_page_bytes + 3 * 4096, all_seals, as_it_is,
                Errc::protocol_violation},
        Forgery{"of_epoch_0", lane_bytes, all_seals, [](EndPage& p) { p.header.epoch = 0; },
                Errc::protocol_violation},
        Forgery{"of_epoch_65536", lane_bytes, all_seals, [](EndPage& p) { p.header.epoch = 65536; },
                Errc::protocol_violation}),
    [](const auto& tested) { return tested.param.name; });

TEST(Segment, refuses_what_is_no_memory_file) {
  auto pipe = std::move(*base::make_pipe());
  EXPECT_FALSE(Segment::attach_peer(std::move(pipe.first)));
  EXPECT_FALSE(Segment::attach_peer(base::UniqueFd{}));
}

TEST(Epoch, goes_round_without_losing_the_order) {
  std::uint16_t epoch = 0xFFFD;
  for (int restarts = 0; restarts < 10; ++restarts) {
    const std::uint16_t next = next_epoch(epoch);
    EXPECT_NE(next, 0);
    EXPECT_TRUE(is_newer(next, epoch)) << epoch;
    EXPECT_FALSE(is_newer(epoch, next)) << epoch;
    EXPECT_TRUE(is_newer(next, 0));  // than nobody's
    epoch = next;
  }
}

TEST(EndPage, keeps_cursors_of_48_bits) {
  Segment own = make_segment();
  const Cursor cursor{65535, position_mask};
  store_taken(own.page(), cursor);
  store_acknowledged(own.page(), {cursor, 12});
  EXPECT_EQ(load_taken(own.page()), cursor);
  EXPECT_EQ(load_acknowledged(own.page())->cursor, cursor);
  EXPECT_EQ(load_acknowledged(own.page())->count, 12U);
}

TEST(EndPage, positions_go_round) {
  EXPECT_EQ(distance(position_mask, 63), 64U);
  EXPECT_GT(distance(64, 0), position_mask / 2);
}

TEST(EndPage, shows_the_pair_before_when_its_writer_was_killed_between_two_words) {
  Segment own = make_segment();
  store_committed(own.page(), {64, 1});
  store_committed(own.page(), {128, 2});
  // The third store got as far as its first word.
  Twin& twin = own.page().committed;
  twin.half[(twin.turn + 1) & 1].first = 192;
  EXPECT_EQ(load_committed(own.page())->position, 128U);
  EXPECT_EQ(load_committed(own.page())->count, 2U);
  twin.half[(twin.turn + 1) & 1].second = 3;
  EXPECT_EQ(load_committed(own.page())->count, 2U);
  twin.turn = twin.turn + 1;
  EXPECT_EQ(load_committed(own.page())->position, 192U);
  EXPECT_EQ(load_committed(own.page())->count, 3U);
}

TEST(EndPage, never_mixes_two_pairs) {
  Segment own = make_segment();
  std::atomic<bool> over{false};
  std::thread writer([&] {
    for (std::uint64_t i = 1; i <= 200000; ++i) store_committed(own.page(), {i * 64, i});
    over = true;
  });
  std::uint64_t last = 0;
  while (!over) {
    const auto seen = load_committed(own.page());
    if (!seen) continue;
    ASSERT_EQ(seen->position, seen->count * 64);
    ASSERT_GE(seen->count, last);
    last = seen->count;
  }
  writer.join();
  EXPECT_EQ(load_committed(own.page())->count, 200000U);
}

}  // namespace
}  // namespace bulkhead::ipc
