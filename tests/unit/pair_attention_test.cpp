// What the death of a process means for an end of a pair that a fork had copied into it.
#include "ipc/pair_attention.hpp"

#include <gtest/gtest.h>

#include "base/fd.hpp"
#include "ipc/endpoint.hpp"

namespace bulkhead::ipc {
namespace {

// A process that held the second end too, as a copy of its line: the attention of the fork is not needed for that.
class OneHalf : public testing::Test {
 protected:
  PairAttention::Both both_ = std::move(*PairAttention::make());
};

TEST_F(OneHalf, that_was_never_used_by_anybody_is_closed_by_the_last_who_drops_it) {
  EXPECT_TRUE(both_.to->let_go([] { return EndUse::none; }));
}

TEST_F(OneHalf, that_somebody_used_who_died_is_not_closed_by_dropping_a_copy) {
  EXPECT_FALSE(both_.to->let_go([] { return EndUse::elsewhere; }));
}

// The other process sends its first message and dies, all of it after we had looked.
TEST_F(OneHalf, that_is_used_for_the_first_time_while_it_is_dropped_is_not_closed_either) {
  int asked = 0;
  EXPECT_FALSE(both_.to->let_go([&] { return asked++ == 0 ? EndUse::none : EndUse::elsewhere; }));
}

TEST_F(OneHalf, that_we_used_is_closed) {
  EXPECT_TRUE(both_.to->let_go([] { return EndUse::here; }));
}

}  // namespace
}  // namespace bulkhead::ipc
