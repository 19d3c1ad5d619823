// What the messages of sd_notify(3) mean, and what foreign bytes in them cannot do.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "supervisor/notify_message.hpp"

namespace bulkhead::supervisor {
namespace {

using Complaints = std::vector<std::string>;

TEST(NotifyMessage, may_say_several_things_at_once) {
  const auto message = parse_notify("READY=1\nSTATUS=serving\nMAINPID=42\nWATCHDOG=1\n");
  EXPECT_TRUE(message.ready);
  EXPECT_TRUE(message.alive);
  EXPECT_EQ(message.status, "serving");
  EXPECT_EQ(message.main_pid, 42);
  EXPECT_FALSE(message.stopping || message.reloading || message.barrier || message.store);
  EXPECT_EQ(message.complaints, Complaints{});
}

TEST(NotifyMessage, knows_every_word_that_is_promised) {
  EXPECT_TRUE(parse_notify("RELOADING=1").reloading);
  EXPECT_TRUE(parse_notify("STOPPING=1").stopping);
  EXPECT_TRUE(parse_notify("BARRIER=1").barrier);
  EXPECT_TRUE(parse_notify("WATCHDOG=trigger").gives_up);
  EXPECT_EQ(parse_notify("WATCHDOG_USEC=20000").watchdog_timeout, 20'000'000U);
  EXPECT_EQ(parse_notify("WATCHDOG_USEC=0").watchdog_timeout, time_never);
  EXPECT_EQ(parse_notify("WATCHDOG_USEC=18446744073709551615").watchdog_timeout, time_never);
  EXPECT_EQ(parse_notify("EXTEND_TIMEOUT_USEC=5").more_time, 5'000U);
  EXPECT_EQ(parse_notify("ERRNO=2").error_number, 2);
  const auto store = parse_notify("FDSTORE=1\nFDNAME=client-7\nFDPOLL=0");
  EXPECT_TRUE(store.store);
  EXPECT_FALSE(store.polled);
  EXPECT_EQ(store.store_name, "client-7");
  EXPECT_EQ(parse_notify("FDSTORE=1").store_name, "stored");
  EXPECT_TRUE(parse_notify("FDSTOREREMOVE=1\nFDNAME=x").unstore);
}

TEST(NotifyMessage, leaves_out_what_it_does_not_know_and_lines_that_assign_nothing) {
  const auto message = parse_notify("X_NEW=1\n\nREADY\nMONOTONIC_USEC=17\n=1\nREADY=1");
  EXPECT_TRUE(message.ready);
  EXPECT_EQ(message.complaints, Complaints{});
}

TEST(NotifyMessage, takes_the_first_of_several_assignments_of_one_name) {
  const auto message = parse_notify("STATUS=one\nSTATUS=two\nREADY=1\nREADY=0");
  EXPECT_EQ(message.status, "one");
  EXPECT_TRUE(message.ready);
}

TEST(NotifyMessage, complains_of_a_value_without_a_meaning_and_takes_the_rest) {
  using Case = std::pair<const char*, const char*>;
  for (const auto& [text, complaint] : {
           Case{"READY=yes", "READY=yes (expected 1)"},
           {"WATCHDOG=2", "WATCHDOG=2 (expected 1 or trigger)"},
           {"MAINPID=0", "MAINPID=0 (expected the number of a process)"},
           {"MAINPID=-1", "MAINPID=-1 (expected the number of a process)"},
           {"MAINPID=4294967297", "MAINPID=4294967297 (expected the number of a process)"},
           {"ERRNO=", "ERRNO= (expected a number of errno(3))"},
           {"WATCHDOG_USEC=9999",
            "WATCHDOG_USEC=9999 (expected microseconds from 10000 (10 ms) to 86400000000 (24 h), "
            "or 0)"},
           {"EXTEND_TIMEOUT_USEC=0",
            "EXTEND_TIMEOUT_USEC=0 (expected microseconds from 1 to 86400000000 (24 h))"},
           {"EXTEND_TIMEOUT_USEC=86400000001",
            "EXTEND_TIMEOUT_USEC=86400000001 (expected microseconds from 1 to 86400000000 (24 h))"},
           {"FDNAME=a:b", "FDNAME=a:b (expected 1 to 128 printable ASCII characters without ':')"},
           {"FDPOLL=1", "FDPOLL=1 (expected 0)"},
       }) {
    const auto message = parse_notify(std::string(text) + "\nSTATUS=rest");
    EXPECT_EQ(message.complaints, Complaints{complaint});
    EXPECT_EQ(message.status, "rest") << text;
    EXPECT_FALSE(message.ready || message.alive || message.main_pid || message.more_time);
  }
  EXPECT_EQ(parse_notify("FDNAME=" + std::string(129, 'x')).store_name, "stored");
}

TEST(NotifyMessage, shows_a_status_that_is_no_text_as_one_that_is) {
  EXPECT_EQ(parse_notify("STATUS=\xff\xc3 \x1b[31m\t").status, "?? ?[31m?");
  EXPECT_EQ(parse_notify("STATUS=gr\xc3\xbc\xc3\x9f").status, "gr\xc3\xbc\xc3\x9f");
  for (const char* broken : {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8",
                             "\xe2\x82", "\xc3"}) {
    const auto shown = printable(broken, 100);
    EXPECT_NO_THROW((void)nlohmann::json(shown).dump()) << shown;
    EXPECT_EQ(shown.front(), '?');
  }
  EXPECT_EQ(printable(std::string(199, 'x') + "\xc3\xbc", notify_status_max), std::string(199, 'x'))
      << "no half characters";
}

}  // namespace
}  // namespace bulkhead::supervisor
