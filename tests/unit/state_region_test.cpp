// The state memory as a killed brain may leave it: each test builds the memory by hand and looks once.
#include "supervisor/state_region.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>

namespace bulkhead::supervisor {
namespace {

using state_layout::Layout;

class StateMemory : public testing::Test {
 protected:
  StateMemory() : fd_(std::move(*StateRegion::create())) { again(); }

  // As the next brain sees it.
  StateRegion& again() {
    brain_.emplace(std::move(*StateRegion::map(fd_.get())));
    return *brain_;
  }
  Layout& by_hand() {
    if (hand_.data() == nullptr) {
      hand_ =
          std::move(*base::MappedRegion::map(fd_.get(), sizeof(Layout), base::Access::read_write));
    }
    return *reinterpret_cast<Layout*>(hand_.data());
  }

  base::UniqueFd fd_;
  base::MappedRegion hand_;
  std::optional<StateRegion> brain_;
};

InstanceState instance(std::uint32_t restarts) {
  InstanceState state;
  state.restarts = restarts;
  state.pid = 4711;
  return state;
}

EventRecord event(std::string_view words) {
  EventRecord record;
  record.type = 3;
  set_text(record, words);
  return record;
}

TEST_F(StateMemory, cannot_be_resized_by_anybody) {
  EXPECT_NE(::ftruncate(fd_.get(), 0), 0);
  EXPECT_NE(::ftruncate(fd_.get(), 1 << 30), 0);
}

TEST_F(StateMemory, of_another_size_or_version_is_refused) {
  auto small = base::make_memfd("small", true);
  ASSERT_EQ(::ftruncate(small->get(), 4096), 0);
  EXPECT_TRUE(StateRegion::map(small->get()).error().is(Errc::version_mismatch));
  by_hand().header.version = state_layout::version + 1;
  EXPECT_TRUE(StateRegion::map(fd_.get()).error().is(Errc::version_mismatch));
}

TEST_F(StateMemory, of_a_brain_with_other_instance_records_is_refused) {
  by_hand().header.instance_bytes = sizeof(InstanceState) + 8;
  EXPECT_TRUE(StateRegion::map(fd_.get()).error().is(Errc::version_mismatch));
}

TEST_F(StateMemory, has_no_record_before_the_first_save) {
  EXPECT_EQ(brain_->load(0), std::nullopt);
  EXPECT_FALSE(brain_->load_system());
  EXPECT_EQ(brain_->claim(state_layout::slot_count - 1), Claim{});
}

TEST_F(StateMemory, keeps_the_failures_of_groups_apart_from_instances) {
  EXPECT_FALSE(brain_->load_group(255));
  GroupState group;
  group.failures.record(17);
  brain_->save_group(255, group);
  group.failures.record(18);
  brain_->save_group(255, group);
  const auto found = again().load_group(255);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->failures.failures_since(17), 2U);
  EXPECT_EQ(found->failures.failures_since(18), 1U);
  EXPECT_FALSE(brain_->load_group(254));
  EXPECT_EQ(brain_->load(state_layout::slot_count - 1), std::nullopt);
  EXPECT_FALSE(brain_->read_event(1));
}

TEST_F(StateMemory, keeps_the_last_save_for_the_next_brain) {
  for (std::uint32_t i = 1; i <= 5; ++i) {
    brain_->save(8191, instance(i));
    const auto found = again().load(8191);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->restarts, i);
    EXPECT_EQ(found->pid, 4711);
  }
  EXPECT_EQ(brain_->load(8190), std::nullopt);
}

TEST_F(StateMemory, shows_the_record_before_one_that_was_half_written) {
  brain_->save(0, instance(1));
  brain_->save(0, instance(2));
  auto& slot = by_hand().instances[0];
  const auto stamp = slot.stamp.load();
  // The kill came inside the copy: the free half is torn, the stamp is still the old one.
  std::memset(&slot.copies[(stamp + 1) & 1], 0xee, sizeof(InstanceState) / 2);
  EXPECT_EQ(again().load(0)->restarts, 2u);
  brain_->save(0, instance(3));
  EXPECT_EQ(again().load(0)->restarts, 3u);
}

TEST_F(StateMemory, shows_the_system_record_before_one_that_was_half_written) {
  SystemRecord record;
  record.next_session = 42;
  record.operations[255] = 7;
  brain_->save_system(record);
  auto& buffer = by_hand().system;
  buffer.copies[(buffer.stamp.load() + 1) & 1].next_session = 999;
  const auto found = again().load_system();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->next_session, 42u);
  EXPECT_EQ(found->operations[255], 7u);
}

TEST_F(StateMemory, gives_a_claim_to_one_process_of_the_latest_generation_only) {
  const auto first = brain_->bump(5);
  EXPECT_EQ(first, 1u);
  EXPECT_EQ(brain_->claim(5), (Claim{1, 0}));
  auto late = brain_->ticket(5, first);  // of a brain that was killed inside its vfork
  auto successor = StateRegion::map(fd_.get());
  const auto second = successor->bump(5);
  auto mine = successor->ticket(5, second);
  EXPECT_FALSE(claim_slot(&late, ::getpid()));
  EXPECT_TRUE(claim_slot(&mine, ::getpid()));
  EXPECT_FALSE(claim_slot(&mine, ::getpid())) << "a second start of the same generation";
  EXPECT_EQ(brain_->claim(5), (Claim{2, ::getpid()}));
}

TEST_F(StateMemory, settled_by_a_new_brain_lets_no_late_child_of_the_old_one_in) {
  auto late = brain_->ticket(5, brain_->bump(5));
  auto claimed = brain_->ticket(6, brain_->bump(6));
  ASSERT_TRUE(claim_slot(&claimed, ::getpid()));
  auto successor = StateRegion::map(fd_.get());
  EXPECT_LE(successor->settle(5).pid, 0);
  EXPECT_FALSE(claim_slot(&late, ::getpid()));
  EXPECT_EQ(successor->settle(6), (Claim{1, ::getpid()})) << "what was claimed before stands";
  EXPECT_EQ(successor->settle(7), Claim{}) << "a slot that was never started";
  EXPECT_EQ(successor->bump(5), 2u);
}

TEST_F(StateMemory, forgets_the_process_of_a_generation_that_ended_but_not_a_later_one) {
  auto first = brain_->ticket(5, brain_->bump(5));
  ASSERT_TRUE(claim_slot(&first, ::getpid()));
  brain_->end(5, 1);
  EXPECT_EQ(brain_->claim(5).generation, 1u);
  EXPECT_LE(brain_->claim(5).pid, 0) << "its number may be a stranger's by now";
  EXPECT_FALSE(claim_slot(&first, ::getpid())) << "the generation is spent";
  auto second = brain_->ticket(5, brain_->bump(5));
  ASSERT_TRUE(claim_slot(&second, ::getpid()));
  brain_->end(5, 1);  // said again by a brain that replays the exit ring
  EXPECT_EQ(brain_->claim(5), (Claim{2, ::getpid()}));
}

// What a brain leaves that dies between the two stores of a promotion.
TEST_F(StateMemory, a_process_that_takes_over_another_slot_is_named_by_both_until_the_first_ends) {
  auto spare = brain_->ticket(9, brain_->bump(9));
  ASSERT_TRUE(claim_slot(&spare, ::getpid()));
  auto dead = brain_->ticket(5, brain_->bump(5));
  ASSERT_TRUE(claim_slot(&dead, ::getpid()));
  brain_->end(5, 1);
  EXPECT_EQ(brain_->take_over(5, 4, ::getpid()), 4U);
  auto successor = StateRegion::map(fd_.get());
  EXPECT_EQ(successor->settle(5), (Claim{4, ::getpid()}));
  EXPECT_EQ(successor->settle(9), (Claim{1, ::getpid()}));
  successor->end(9, 1);
  EXPECT_LE(successor->claim(9).pid, 0);
  EXPECT_EQ(successor->take_over(5, 2, 7), 5U) << "a generation only grows";
}

TEST_F(StateMemory, a_place_that_no_slot_has_can_be_ended_all_the_same) {
  auto ticket = brain_->ticket(1, brain_->bump(1));
  ASSERT_TRUE(claim_slot(&ticket, ::getpid()));
  brain_->set_seats({0});
  EXPECT_EQ(brain_->claim_at(1), (Claim{1, ::getpid()}));
  brain_->end_at(1, 1);
  EXPECT_LE(brain_->claim_at(1).pid, 0);
}

TEST_F(StateMemory, tells_an_exec_failure_of_this_generation_from_an_older_one) {
  brain_->failure_word(3)->store(base::pack_failure(4, {base::SpawnStage::exec, 2}));
  const auto failure = again().exec_failure(3, 4);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->stage, base::SpawnStage::exec);
  EXPECT_EQ(failure->error_number, 2);
  EXPECT_FALSE(brain_->exec_failure(3, 5));
}

// The plan of the next brain has other instances before it, or none.
TEST_F(StateMemory, keeps_an_instance_in_its_place_when_positions_shift) {
  ASSERT_EQ(brain_->bump(2), 1U);
  auto ticket = brain_->ticket(2, 1);
  ASSERT_TRUE(claim_slot(&ticket, ::getpid()));
  brain_->save(2, instance(5));
  auto& next = again();
  next.set_seats({7, 2});
  EXPECT_EQ(next.claim(1), (Claim{1, ::getpid()}));
  EXPECT_EQ(next.load(1)->restarts, 5U);
  EXPECT_EQ(next.slot_at(2), Slot{1});
  EXPECT_EQ(next.slot_at(7), Slot{0});
  EXPECT_EQ(next.slot_at(3), std::nullopt);
  EXPECT_EQ(next.seat(first_internal_slot), first_internal_slot);
  EXPECT_EQ(next.slot_at(first_internal_slot), first_internal_slot);
}

TEST_F(StateMemory, begins_afresh_at_a_place_that_was_cleared_but_for_its_generations) {
  for (Generation generation = 1; generation <= 3; ++generation) {
    EXPECT_EQ(brain_->bump(4), generation);
  }
  brain_->save(4, instance(5));
  brain_->clear_seat(4);
  const auto fresh = again().load(4);
  ASSERT_TRUE(fresh);
  EXPECT_EQ(fresh->restarts, 0U);
  EXPECT_EQ(fresh->pid, 0);
  EXPECT_EQ(fresh->generation, 3U);
  EXPECT_EQ(fresh->status, InstanceStatus::waiting);
}

// What a spawned child writes into the environment that it is given.
TEST_F(StateMemory, a_claim_writes_the_pid_of_who_claims) {
  brain_->bump(0);
  auto ticket = brain_->ticket(0, 1);
  std::string text = "0000000000";
  ticket.pid_texts[0] = text.data();
  ASSERT_TRUE(claim_slot(&ticket, ::getpid()));
  EXPECT_EQ(std::string(text.c_str()), std::to_string(::getpid()));
}

TEST_F(StateMemory, numbers_events_from_one_and_keeps_them_for_the_next_brain) {
  EXPECT_EQ(brain_->next_event(), 1u);
  EXPECT_EQ(brain_->append(event("first")), 1u);
  EXPECT_EQ(again().append(event("second")), 2u);
  EXPECT_EQ(text(*brain_->read_event(1)), "first");
  EXPECT_EQ(text(*brain_->read_event(2)), "second");
  EXPECT_EQ(brain_->read_event(1)->sequence, 1u);
  EXPECT_EQ(brain_->read_event(0), std::nullopt);
  EXPECT_EQ(brain_->read_event(3), std::nullopt) << "not yet";
}

TEST_F(StateMemory, cuts_a_long_text_of_an_event_after_a_whole_word) {
  brain_->append(event(std::string(100, 'x')));
  EXPECT_EQ(text(*brain_->read_event(1)), std::string(44, 'x') + " ...");
  brain_->append(event("its executable was removed after the config had been checked"));
  EXPECT_EQ(text(*brain_->read_event(2)), "its executable was removed after the config ...");
  brain_->append(event(std::string(48, 'y')));
  EXPECT_EQ(text(*brain_->read_event(3)), std::string(48, 'y'));
}

TEST_F(StateMemory, forgets_the_oldest_events_when_the_ring_wraps) {
  by_hand().header.next_event.store(state_layout::event_count);  // as after that many
  brain_->append(event("last of the first round"));
  brain_->append(event("overwrites number one"));
  EXPECT_EQ(brain_->oldest_event(), 2u);
  EXPECT_EQ(brain_->read_event(1), std::nullopt);
  EXPECT_EQ(text(*brain_->read_event(state_layout::event_count + 1)), "overwrites number one");
}

TEST_F(StateMemory, treats_an_event_as_gone_while_its_place_is_being_overwritten) {
  brain_->append(event("old"));
  by_hand().events[1][0].store(0);  // killed between this store and the last one
  EXPECT_EQ(again().read_event(1), std::nullopt);
}

TEST_F(StateMemory, never_shows_an_event_whose_append_was_killed_before_the_count) {
  brain_->append(event("whole"));
  auto& words = by_hand().events[2];
  words[0].store(2);  // complete, but next_event still says 2
  EXPECT_EQ(again().read_event(2), std::nullopt);
  EXPECT_EQ(brain_->append(event("in its place")), 2u);
  EXPECT_EQ(text(*brain_->read_event(2)), "in its place");
}

TEST_F(StateMemory, beats_and_takes_over_where_the_keeper_looks) {
  brain_->beat();
  brain_->beat();
  brain_->set_taken_over(3);
  EXPECT_EQ(by_hand().header.beat.load(), 2u);
  EXPECT_EQ(by_hand().header.taken_over.load(), 3u);
}

}  // namespace
}  // namespace bulkhead::supervisor
