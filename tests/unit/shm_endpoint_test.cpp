// The shared-memory end against peers that live, die, return and cheat. The test plays the brain.
#include <gtest/gtest.h>
#include <poll.h>

#include <cstring>
#include <optional>
#include <thread>

#include "tests/support/descriptors.hpp"
#include "tests/support/shm_stage.hpp"

namespace bulkhead::test {
namespace {

using ipc::LinkUpdate;

TEST(ShmEndpoint, refuses_options_that_could_never_work) {
  const auto error = [](ChannelOptions options) {
    const auto end = try_open_end({.channel = options});
    return end ? "no error" : end.error().code.message();
  };
  const std::string invalid = text_of(Errc::invalid_argument);
  EXPECT_EQ(error({.capacity = 5000, .max_message = 10}), invalid);
  EXPECT_EQ(error({.capacity = 2048, .max_message = 10}), invalid);
  EXPECT_EQ(error({.capacity = 4096, .max_message = 2017}), invalid);
  EXPECT_EQ(error({.capacity = 4096, .max_message = 2016}), "no error");
}

TEST(ShmEndpoint, commits_into_its_own_memory_while_nobody_is_there) {
  auto from = open_end();
  ASSERT_TRUE(from.endpoint->send(as_bytes("early"), Deadline::now()));
  EXPECT_EQ(from.endpoint->last_committed(), 1U);
  EXPECT_EQ(from.endpoint->peer_epoch(), 0);
  auto to = open_end({.side = ipc::Side::to});
  to.meet(*from.endpoint);
  EXPECT_EQ(next(*to.endpoint), "1 early");
  EXPECT_EQ(to.endpoint->peer_epoch(), 1);
}

TEST(ShmEndpoint, is_full_without_a_peer_and_says_so) {
  auto from = open_end();
  for (int i = 0; i < 63; ++i) ASSERT_TRUE(from.endpoint->send(as_bytes("x"), Deadline::now()));
  const auto full = from.endpoint->send(as_bytes("x"), Deadline::now());
  ASSERT_FALSE(full);
  EXPECT_TRUE(full.error().is(Errc::would_block));
  const auto late = from.endpoint->send(as_bytes("x"), Deadline::in(std::chrono::milliseconds(5)));
  ASSERT_FALSE(late);
  EXPECT_TRUE(late.error().is(Errc::timed_out));
}

TEST(ShmEndpoint, sends_on_after_an_acknowledgement) {
  auto [from, to] = open_pair();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(from.endpoint->send(as_bytes("abc"), Deadline::now())) << i;
    ASSERT_EQ(next(*to.endpoint), std::to_string(i + 1) + " abc");
  }
  EXPECT_EQ(from.endpoint->stats().acknowledged, 1000U);
  EXPECT_EQ(to.endpoint->stats().received, 1000U);
  EXPECT_EQ(to.endpoint->stats().bytes_received, 3000U);
}

// --- a receiver dies ---

// Takes three messages, acknowledges the first, and "dies": its memory is all that is left.
struct InterruptedReceiver {
  HandmadePeer peer;
  base::UniqueFd memory;
  InterruptedReceiver() {
    for (const char* text : {"a", "b", "c", "d"}) EXPECT_TRUE(peer.commit(text));
    auto to = open_end({.side = ipc::Side::to});
    to.meet(peer.segment);
    std::vector<Message> views;
    for (int i = 0; i < 3; ++i) views.push_back(std::move(*to.endpoint->receive(soon())));
    views[0].acknowledge();
    // A killed process runs no destructor: the memory is copied as it stands.
    memory = copy_segment(to.endpoint->segment_fd());
  }
  static base::UniqueFd copy_segment(int fd) {
    const auto seen = std::move(*ipc::Segment::attach_peer(std::move(*base::duplicate(fd))));
    auto copy = std::move(*ipc::Segment::create({.name = "copy",
                                                 .epoch = seen.facts().epoch,
                                                 .ring_capacity = seen.facts().ring_capacity,
                                                 .base_index = seen.facts().base_index}));
    std::memcpy(copy.ring().data(), seen.ring().data(), seen.ring().size());
    const auto committed = load_committed(seen.page());
    ipc::store_committed(copy.page(), *committed);
    ipc::store_taken(copy.page(), load_taken(seen.page()));
    ipc::store_acknowledged(copy.page(), *load_acknowledged(seen.page()));
    ipc::store_redelivered(copy.page(), load_redelivered(seen.page()));
    return std::move(*base::duplicate(copy.fd()));
  }
};

TEST(ShmSuccessor, is_given_again_what_was_taken_and_not_acknowledged_and_only_that) {
  InterruptedReceiver before;
  auto to = open_end({.side = ipc::Side::to, .epoch = 2, .predecessor = before.memory.get()});
  EXPECT_EQ(to.endpoint->resume_point(), 2U);
  to.meet(before.peer.segment);
  EXPECT_EQ(next(*to.endpoint), "again 2 b");
  EXPECT_EQ(next(*to.endpoint), "again 3 c");
  EXPECT_EQ(next(*to.endpoint), "4 d");
  EXPECT_EQ(to.endpoint->stats().redelivered, 2U);
}

TEST(ShmSuccessor, offers_the_cursor_of_its_predecessor_from_the_start) {
  InterruptedReceiver before;
  auto to = open_end({.side = ipc::Side::to, .epoch = 2, .predecessor = before.memory.get()});
  const auto page =
      ipc::Segment::attach_peer(std::move(*base::duplicate(to.endpoint->segment_fd())));
  EXPECT_EQ(load_acknowledged(page->page())->count, 1U);
  EXPECT_EQ(load_acknowledged(page->page())->cursor, (ipc::Cursor{1, 64}));
  EXPECT_EQ(load_taken(page->page()), (ipc::Cursor{1, 192}));
}

TEST(ShmSuccessor, of_a_successor_that_took_nothing_begins_at_the_same_place) {
  InterruptedReceiver before;
  auto second = open_end({.side = ipc::Side::to, .epoch = 2, .predecessor = before.memory.get()});
  auto third =
      open_end({.side = ipc::Side::to, .epoch = 3, .predecessor = second.endpoint->segment_fd()});
  third.meet(before.peer.segment);
  EXPECT_EQ(next(*third.endpoint), "again 2 b");
  EXPECT_EQ(next(*third.endpoint), "again 3 c");
  EXPECT_EQ(next(*third.endpoint), "4 d");
}

TEST(ShmSuccessor, refuses_a_predecessor_that_is_no_lane) {
  const auto counts = std::move(*ipc::Segment::create({.name = "counts"}));
  const auto end = try_open_end({.epoch = 2, .predecessor = counts.fd()});
  ASSERT_FALSE(end);
  EXPECT_TRUE(end.error().is(Errc::protocol_violation));
}

// --- a sender dies ---

TEST(ShmSuccessor, of_a_sender_numbers_on) {
  auto first = open_end();
  for (const char* text : {"a", "b"}) ASSERT_TRUE(first.endpoint->send(as_bytes(text), soon()));
  auto second = open_end({.epoch = 2, .predecessor = first.endpoint->segment_fd()});
  EXPECT_EQ(second.endpoint->last_committed(), 2U);
  ASSERT_TRUE(second.endpoint->send(as_bytes("c"), soon()));

  auto to = open_end({.side = ipc::Side::to});
  to.meet(*first.endpoint);
  to.bury(1);
  to.meet(*second.endpoint);
  EXPECT_EQ(next(*to.endpoint), "1 a");
  EXPECT_EQ(next(*to.endpoint), "2 b");
  EXPECT_EQ(next(*to.endpoint), "3 c");
  EXPECT_EQ(to.endpoint->peer_epoch(), 2);
}

TEST(ShmSuccessor, of_a_sender_that_sent_nothing_numbers_on) {
  auto first = open_end();
  for (const char* text : {"a", "b"}) ASSERT_TRUE(first.endpoint->send(as_bytes(text), soon()));
  auto second = open_end({.epoch = 2, .predecessor = first.endpoint->segment_fd()});
  auto third = open_end({.epoch = 3, .predecessor = second.endpoint->segment_fd()});
  EXPECT_EQ(third.endpoint->last_committed(), 2U);
  ASSERT_TRUE(third.endpoint->send(as_bytes("c"), soon()));

  auto to = open_end({.side = ipc::Side::to});
  for (const ShmEnd* end : {&first, &second}) {
    to.meet(*end->endpoint);
    to.bury(end->endpoint->spec().epoch);
  }
  to.meet(*third.endpoint);
  EXPECT_EQ(next(*to.endpoint), "1 a");
  EXPECT_EQ(next(*to.endpoint), "2 b");
  EXPECT_EQ(next(*to.endpoint), "3 c");
}

TEST(ShmSuccessor, of_a_sender_killed_between_the_commit_and_its_note_counts_the_record) {
  HandmadePeer peer;
  ASSERT_TRUE(peer.commit("noted"));
  ASSERT_TRUE(peer.commit("not noted"));
  ipc::store_committed(peer.segment.page(), {64, 1});
  auto second = open_end({.epoch = 2, .predecessor = peer.segment.fd()});
  EXPECT_EQ(second.endpoint->last_committed(), 2U);
}

TEST(ShmReceiver, drains_what_a_dead_sender_committed_and_nothing_half_written) {
  HandmadePeer peer;
  ASSERT_TRUE(peer.commit("a"));
  std::memset(peer.segment.ring().data() + 64 + 8, 0x55, 20);  // killed before the header
  auto to = open_end({.side = ipc::Side::to, .peer_life = ipc::PeerLife::single});
  to.meet(peer.segment);
  to.bury(1);
  EXPECT_EQ(next(*to.endpoint), "1 a");
  EXPECT_EQ(next(*to.endpoint), text_of(Errc::peer_died));
}

TEST(ShmReceiver, keeps_waiting_for_a_peer_that_will_be_replaced) {
  HandmadePeer peer;
  auto to = open_end({.side = ipc::Side::to});
  to.meet(peer.segment);
  to.bury(1);
  EXPECT_EQ(next(*to.endpoint), text_of(Errc::would_block));
  EXPECT_EQ(to.endpoint->peer_epoch(), 0);
}

TEST(ShmReceiver, drains_three_dead_incarnations_in_order) {
  HandmadePeer first(1, 0), second(2, 2), third(3, 2), fourth(4, 3);
  ASSERT_TRUE(first.commit("a") && first.commit("b") && third.commit("c") && fourth.commit("d"));
  auto to = open_end({.side = ipc::Side::to});
  for (auto* peer : {&first, &second, &third}) {
    to.meet(peer->segment);
    to.bury(peer->segment.facts().epoch);
  }
  to.meet(fourth.segment);
  std::vector<Message> views;
  for (const char* text : {"a", "b", "c", "d"}) {
    views.push_back(std::move(*to.endpoint->receive(soon())));
    EXPECT_EQ(text_of(views.back()), text);
  }
  EXPECT_EQ(views[3].epoch(), 4);
  EXPECT_EQ(text_of(views[0]), "a") << "a view keeps the memory of a dead incarnation";
}

TEST(ShmReceiver, takes_updates_that_are_told_twice_once) {
  HandmadePeer first(1, 0), second(2, 1);
  ASSERT_TRUE(first.commit("a") && second.commit("b"));
  auto to = open_end({.side = ipc::Side::to});
  for (int i = 0; i < 2; ++i) {
    to.meet(first.segment);
    to.bury(1);
    to.meet(second.segment);
  }
  EXPECT_EQ(next(*to.endpoint), "1 a");
  EXPECT_EQ(next(*to.endpoint), "2 b");
  to.meet(first.segment);
  EXPECT_EQ(next(*to.endpoint), text_of(Errc::would_block));
}

TEST(ShmReceiver, epochs_go_round) {
  HandmadePeer last(65535, 0), first(1, 1);
  ASSERT_TRUE(last.commit("a") && first.commit("b"));
  auto to = open_end({.side = ipc::Side::to});
  to.meet(last.segment);
  to.bury(65535);
  to.meet(first.segment);
  EXPECT_EQ(next(*to.endpoint), "1 a");
  EXPECT_EQ(next(*to.endpoint), "2 b");
}

TEST(ShmReceiver, gives_a_released_message_again) {
  auto [from, to] = open_pair();
  for (const char* text : {"a", "b"}) ASSERT_TRUE(from.endpoint->send(as_bytes(text), soon()));
  try {
    const auto message = to.endpoint->receive(soon());
    throw 1;
  } catch (int) {
  }
  EXPECT_EQ(from.endpoint->stats().acknowledged, 0U);
  EXPECT_EQ(next(*to.endpoint), "again 1 a");
  EXPECT_EQ(next(*to.endpoint), "2 b");
  EXPECT_EQ(from.endpoint->stats().acknowledged, 2U);
}

TEST(ShmReceiver, its_views_outlive_the_channel_and_the_peer) {
  const auto descriptors = open_descriptors();
  std::optional<Message> view;
  {
    auto [from, to] = open_pair();
    Channel a(std::move(from.endpoint)), b(std::move(to.endpoint));
    ASSERT_TRUE(a.send(as_bytes("kept")));
    view.emplace(std::move(*b.receive(soon())));
  }
  EXPECT_EQ(text_of(*view), "kept");
  view.reset();
  EXPECT_EQ(open_descriptors(), descriptors);
}

// --- a peer that cheats ---

TEST(ShmReceiver, reports_a_violation_until_another_incarnation_comes) {
  HandmadePeer liar(1, 0), honest(2, 1);
  ASSERT_TRUE(liar.commit("a"));
  ipc::record_head(liar.segment.ring().data(), 64) =
      pack(ipc::RecordHeader{ipc::RecordKind::data, 0xffff, 2});
  ASSERT_TRUE(honest.commit("b"));
  auto to = open_end({.side = ipc::Side::to});
  to.meet(liar.segment);
  EXPECT_EQ(next(*to.endpoint), "1 a");
  EXPECT_EQ(next(*to.endpoint), text_of(Errc::protocol_violation));
  EXPECT_EQ(next(*to.endpoint), text_of(Errc::protocol_violation));
  EXPECT_EQ(to.endpoint->stats().violations, 1U);
  to.bury(1);
  to.meet(honest.segment);
  EXPECT_EQ(next(*to.endpoint), "2 b");
}

TEST(ShmReceiver, says_once_that_messages_between_two_incarnations_are_missing) {
  HandmadePeer first(1, 0), gap(2, 5);
  ASSERT_TRUE(first.commit("a") && gap.commit("six"));
  auto to = open_end({.side = ipc::Side::to});
  to.meet(first.segment);
  to.bury(1);
  to.meet(gap.segment);
  EXPECT_EQ(next(*to.endpoint), "1 a");
  EXPECT_EQ(next(*to.endpoint), text_of(Errc::protocol_violation));
  EXPECT_EQ(next(*to.endpoint), "6 six");
  EXPECT_EQ(to.endpoint->stats().violations, 1U);
}

TEST(ShmReceiver, leaves_no_complaint_to_its_successors) {
  HandmadePeer first(1, 0), gap(2, 5);
  ASSERT_TRUE(first.commit("a") && gap.commit("six"));
  auto before = open_end({.side = ipc::Side::to});
  before.meet(first.segment);
  before.bury(1);
  before.meet(gap.segment);
  EXPECT_EQ(next(*before.endpoint), "1 a");
  EXPECT_EQ(next(*before.endpoint), text_of(Errc::protocol_violation));
  auto to =
      open_end({.side = ipc::Side::to, .epoch = 2, .predecessor = before.endpoint->segment_fd()});
  to.meet(first.segment);
  to.bury(1);
  to.meet(gap.segment);
  EXPECT_EQ(to.endpoint->resume_point(), 6U);
  EXPECT_EQ(next(*to.endpoint), "6 six");
}

TEST(ShmReceiver, refuses_a_segment_of_another_incarnation_than_announced) {
  HandmadePeer peer(2);
  auto to = open_end({.side = ipc::Side::to});
  to.post(LinkUpdate::Kind::peer_segment, 1, copy_of(peer.segment.fd()));
  EXPECT_EQ(next(*to.endpoint), text_of(Errc::protocol_violation));
  EXPECT_EQ(to.endpoint->stats().violations, 1U);
}

class HostileCursor : public testing::TestWithParam<ipc::Cursor> {};

TEST_P(HostileCursor, is_a_violation_and_frees_nothing) {
  HandmadePeer peer;
  auto from = open_end({.epoch = 5});
  from.meet(peer.segment);
  while (from.endpoint->send(as_bytes("x"), Deadline::now())) {
  }
  ipc::store_acknowledged(peer.segment.page(), {{5, 128}, 2});
  ASSERT_TRUE(from.endpoint->send(as_bytes("x"), Deadline::now()));
  ASSERT_TRUE(from.endpoint->send(as_bytes("x"), Deadline::now()));
  ipc::store_acknowledged(peer.segment.page(), {GetParam(), 3});
  const auto refused = from.endpoint->send(as_bytes("x"), Deadline::now());
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::protocol_violation));
  EXPECT_EQ(from.endpoint->stats().violations, 1U);
  EXPECT_EQ(from.endpoint->last_committed(), 65U);
}
INSTANTIATE_TEST_SUITE_P(, HostileCursor,
                         testing::Values(ipc::Cursor{5, 64}, ipc::Cursor{5, 4096 + 192},
                                         ipc::Cursor{5, ipc::position_mask}, ipc::Cursor{6, 128},
                                         ipc::Cursor{4, 128}, ipc::Cursor{0, 0}));

TEST(ShmSender, obeys_the_next_consumer_after_a_violation) {
  HandmadePeer liar(1), honest(2);
  auto from = open_end();
  from.meet(liar.segment);
  while (from.endpoint->send(as_bytes("x"), Deadline::now())) {
  }
  ipc::store_acknowledged(liar.segment.page(), {{9, 64}, 1});
  ASSERT_FALSE(from.endpoint->send(as_bytes("x"), Deadline::now()));
  from.bury(1);
  ipc::store_acknowledged(honest.segment.page(), {{1, 64}, 1});
  from.meet(honest.segment);
  EXPECT_TRUE(from.endpoint->send(as_bytes("x"), Deadline::now()));
}

TEST(ShmSender, counts_at_most_what_it_sent_as_acknowledged) {
  HandmadePeer peer;
  auto from = open_end();
  from.meet(peer.segment);
  ASSERT_TRUE(from.endpoint->send(as_bytes("x"), Deadline::now()));
  ipc::store_acknowledged(peer.segment.page(), {{1, 64}, ~std::uint64_t{0}});
  EXPECT_EQ(from.endpoint->stats().acknowledged, 1U);
}

}  // namespace
}  // namespace bulkhead::test
