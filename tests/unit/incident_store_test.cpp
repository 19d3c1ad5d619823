// What is kept of deaths: the memory, the words, and reports that a worker wrote to mislead.
#include "supervisor/incident_store.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <cstring>

#include "supervisor/core.hpp"
#include "supervisor/crash_pages.hpp"
#include "supervisor/incident_words.hpp"

namespace bulkhead::supervisor {
namespace {

class IncidentMemory : public testing::Test {
 protected:
  base::UniqueFd fd_ = IncidentStore::create().value();
  IncidentStore store_ = IncidentStore::map(fd_.get()).value();

  static IncidentRecord death(Slot slot, Generation generation) {
    IncidentRecord record;
    record.slot = slot;
    record.generation = generation;
    return record;
  }
};

TEST_F(IncidentMemory, numbers_from_one_and_finds_again) {
  EXPECT_EQ(store_.next(), 1U);
  EXPECT_EQ(store_.find(1), nullptr);
  EXPECT_EQ(store_.append(death(3, 7), nullptr), 1U);
  ASSERT_NE(store_.find(1), nullptr);
  EXPECT_EQ(store_.find(1)->slot, 3U);
  EXPECT_EQ(store_.find(1)->generation, 7U);
  EXPECT_EQ(store_.find(0), nullptr);
  EXPECT_EQ(store_.find(2), nullptr);
}

TEST_F(IncidentMemory, is_the_same_for_the_next_brain) {
  ipc::CrashPage report{};
  report.signal = SIGSEGV;
  const auto number = store_.append(death(1, 1), &report);
  store_.set_log(number, "one\ntwo\n");
  store_.find(number)->ready_ns = 5;
  const auto other = IncidentStore::map(fd_.get()).value();
  ASSERT_NE(other.find(number), nullptr);
  EXPECT_EQ(other.find(number)->ready_ns, 5U);
  EXPECT_EQ(other.find(number)->has_report, 1);
  ASSERT_NE(other.detail(number), nullptr);
  EXPECT_EQ(other.detail(number)->report.signal, SIGSEGV);
  EXPECT_EQ(std::string_view(other.detail(number)->log.data(), other.detail(number)->log_bytes),
            "one\ntwo\n");
}

TEST_F(IncidentMemory, keeps_the_latest_and_of_fewer_the_details) {
  const auto count = incident_layout::record_count + 10;
  for (std::uint64_t i = 1; i <= count; ++i) store_.append(death(0, Generation(i)), nullptr);
  EXPECT_EQ(store_.oldest(), 11U);
  EXPECT_EQ(store_.find(10), nullptr);
  ASSERT_NE(store_.find(11), nullptr);
  EXPECT_EQ(store_.find(count)->generation, count);
  EXPECT_EQ(store_.detail(count - incident_layout::detail_count), nullptr);
  EXPECT_NE(store_.detail(count - incident_layout::detail_count + 1), nullptr);
  store_.set_log(11, "its place is another's");
  EXPECT_EQ(store_.detail(count)->log_bytes, 0U);
}

TEST_F(IncidentMemory, has_no_record_that_was_being_written_when_the_brain_was_killed) {
  store_.append(death(0, 1), nullptr);
  store_.append(death(0, 2), nullptr);
  store_.find(2)->number = 0;  // as publish() leaves it meanwhile
  const auto other = IncidentStore::map(fd_.get()).value();
  EXPECT_NE(other.find(1), nullptr);
  EXPECT_EQ(other.find(2), nullptr);
}

TEST_F(IncidentMemory, of_another_size_is_refused) {
  const auto small = base::make_memfd("small", true).value();
  ASSERT_EQ(::write(small.get(), "x", 1), 1);
  EXPECT_TRUE(IncidentStore::map(small.get()).error().is(Errc::version_mismatch));
}

ipc::CrashPage page_of(Generation generation) {
  ipc::CrashPage page{};
  page.magic = ipc::CrashPage::magic_value;
  page.version = ipc::CrashPage::version_value;
  page.generation = generation;
  page.stage = static_cast<std::uint32_t>(ipc::CrashStage::whole);
  page.signal = SIGSEGV;
  page.code = SEGV_MAPERR;
  return page;
}

TEST(CrashPageCheck, takes_only_what_this_incarnation_wrote) {
  EXPECT_TRUE(ipc::check_crash_page(page_of(4), 4));
  EXPECT_FALSE(ipc::check_crash_page(page_of(4), 5));
  EXPECT_FALSE(ipc::check_crash_page(ipc::CrashPage{}, 0));
  auto not_begun = page_of(4);
  not_begun.stage = 0;
  EXPECT_FALSE(ipc::check_crash_page(not_begun, 4));
  not_begun.stage = 77;
  EXPECT_FALSE(ipc::check_crash_page(not_begun, 4));
}

TEST(CrashPageCheck, bounds_every_count_and_ends_every_text) {
  ipc::CrashPage hostile;
  std::memset(&hostile, 0x41, sizeof hostile);
  hostile.magic = ipc::CrashPage::magic_value;
  hostile.version = ipc::CrashPage::version_value;
  hostile.generation = 1;
  hostile.stage = 3;
  const auto page = ipc::check_crash_page(hostile, 1);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->frame_count, ipc::crash_frames_max);
  EXPECT_EQ(page->module_count, ipc::crash_modules_max);
  EXPECT_EQ(std::strlen(page->thread_name), sizeof page->thread_name - 1);
  EXPECT_EQ(std::strlen(page->exception_type), sizeof page->exception_type - 1);
  EXPECT_EQ(std::strlen(page->exception_what), sizeof page->exception_what - 1);
  for (const auto& module : page->modules) {
    EXPECT_EQ(std::strlen(module.path), sizeof module.path - 1);
    EXPECT_LE(module.build_id_bytes, ipc::build_id_bytes_max);
  }
}

class DeathInWords : public testing::Test {
 protected:
  DeathInWords() {
    record_.pid = 100;
    record_.cause_kind = static_cast<std::uint8_t>(ExitKind::signal);
    record_.cause_code = SIGSEGV;
    page_ = page_of(1);
  }
  std::string words() { return death_in_words(record_, &page_); }

  IncidentRecord record_;
  ipc::CrashPage page_;
};

TEST_F(DeathInWords, says_what_was_touched_and_how) {
  page_.access = static_cast<std::uint32_t>(ipc::CrashAccess::read);
  EXPECT_EQ(words(), "SIGSEGV reading 0x0");
  page_.access = static_cast<std::uint32_t>(ipc::CrashAccess::write);
  page_.address = 16;
  page_.stack_overflow = 1;
  EXPECT_EQ(words(), "SIGSEGV writing 0x10 (stack overflow)");
  page_.code = 0x80;
  EXPECT_EQ(words(), "SIGSEGV: an address that cannot exist");
}

TEST_F(DeathInWords, names_the_exception_that_nobody_caught) {
  page_.signal = record_.cause_code = SIGABRT;
  page_.code = -6;
  page_.sender = 100;
  EXPECT_EQ(words(), "abort");
  page_.has_exception = 1;
  std::strcpy(page_.exception_type, "std::runtime_error");
  std::strcpy(page_.exception_what, "no more cheese");
  EXPECT_EQ(words(), "abort: uncaught std::runtime_error: no more cheese");
  EXPECT_FALSE(ran_out_of_memory(page_));
  std::strcpy(page_.exception_type, "std::bad_alloc");
  EXPECT_TRUE(ran_out_of_memory(page_));
}

TEST_F(DeathInWords, names_who_sent_the_signal_where_that_is_known) {
  page_.code = SI_USER;
  page_.sender = 4711;
  EXPECT_EQ(words(), "SIGSEGV from pid 4711");
  record_.killer = 123;
  EXPECT_EQ(words(), "killed by SIGSEGV from pid 123 (bulkhead kill)");
  record_.cause_code = SIGKILL;
  EXPECT_EQ(death_in_words(record_, nullptr), "killed by SIGKILL from pid 123 (bulkhead kill)");
  record_.killer = 0;
  record_.core_dumped = 1;
  EXPECT_EQ(death_in_words(record_, nullptr), "killed by SIGKILL, core dumped");
}

TEST_F(DeathInWords, has_a_short_name_for_each_cause) {
  EXPECT_EQ(cause_of(record_), "SIGSEGV");
  record_.cause_kind = static_cast<std::uint8_t>(ExitKind::exit);
  record_.cause_code = 3;
  EXPECT_EQ(cause_of(record_), "exit 3");
  EXPECT_EQ(death_in_words(record_, nullptr), "exited with code 3");
  record_.cause_kind = static_cast<std::uint8_t>(ExitKind::watchdog);
  EXPECT_EQ(cause_of(record_), "watchdog");
  record_.cause_kind = static_cast<std::uint8_t>(ExitKind::signal);
  record_.killed_for = static_cast<std::uint8_t>(KilledFor::not_ready);
  EXPECT_EQ(cause_of(record_), "not_ready");
}

TEST(LastLines, are_whole_and_fit) {
  EXPECT_EQ(beginning_of_last("one\ntwo\n", 100), 0U);
  EXPECT_EQ(beginning_of_last("one\ntwo\n", 7), 4U);
  EXPECT_EQ(beginning_of_last("one\ntwo\n", 4), 4U);
  EXPECT_EQ(beginning_of_last("one\ntwo\n", 3), 5U);  // no line fits: the end of the last one
  EXPECT_EQ(beginning_of_last("a\xC3\xA4z", 2), 3U);  // not within a character
  EXPECT_EQ(valid_text("a\xFFz"), "a\xEF\xBF\xBDz");
}

}  // namespace
}  // namespace bulkhead::supervisor
