// What a service manager hears of a system.
#include <gtest/gtest.h>

#include "supervisor/service_voice.hpp"
#include "tests/support/core_story.hpp"

namespace bulkhead::supervisor {
namespace {

using test::CoreStory;
using test::worker;

std::string heard(const CoreStory& story, bool was_ready = false) {
  return service_message(story.plan, story.state, was_ready);
}

TEST(ServiceVoice, says_ready_when_every_worker_is) {
  CoreStory story({worker("echo", 2)});
  story.begin();
  EXPECT_EQ(heard(story), "STATUS=0 of 2 ready");
  story.bring_up(0);
  EXPECT_EQ(heard(story), "STATUS=1 of 2 ready");
  story.bring_up(1);
  EXPECT_EQ(heard(story), "READY=1\nSTATUS=2 of 2 ready");
  story.is_killed(0);
  EXPECT_EQ(heard(story, true), "READY=1\nSTATUS=1 of 2 ready") << "it is up, whoever restarts";
  story.tell(WantDown{1});
  story.is_killed(1, 15);
  EXPECT_EQ(heard(story, true), "READY=1\nSTATUS=0 of 2 ready, 1 stopped by hand");
}

TEST(ServiceVoice, does_not_wait_for_one_that_keeps_failing_nor_for_those_that_wait_for_it) {
  auto needy = worker("needy");
  needy.depends_on["bad"] = DependsOn::ready;
  CoreStory story({worker("bad"), needy, worker("good")});
  story.begin();
  story.bring_up(2);
  EXPECT_EQ(heard(story), "STATUS=1 of 3 ready");
  for (int deaths = 0; deaths < 4; ++deaths) {
    story.started(0);
    story.exits(0, 1);
    if (deaths < 3) story.pass(std::chrono::seconds(10));
  }
  EXPECT_EQ(heard(story), "READY=1\nSTATUS=1 of 3 ready, 1 failing");
}

TEST(ServiceVoice, says_that_it_stops_and_for_whom_it_waits) {
  CoreStory story({worker("echo", 2)});
  story.begin();
  story.bring_up(0);
  story.bring_up(1);
  story.tell(Shutdown{false});
  EXPECT_EQ(heard(story, true), "STOPPING=1\nSTATUS=stopping, 2 left");
  story.is_killed(0, 15);
  EXPECT_EQ(heard(story, true), "STOPPING=1\nSTATUS=stopping, 1 left");
}

}  // namespace
}  // namespace bulkhead::supervisor
