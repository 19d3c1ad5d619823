// Sealed memory: what is in it stays so, whoever holds its descriptor.
#include <bulkhead/sealed.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/fd.hpp"
#include "tests/support/descriptors.hpp"

namespace bulkhead {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}
std::string text_of(const SealedBuffer& buffer) {
  return {reinterpret_cast<const char*>(buffer.bytes().data()), buffer.bytes().size()};
}

TEST(Sealed, holds_what_was_copied_into_it) {
  const auto buffer = SealedBuffer::copy_of("test", bytes_of("immutable")).value();
  EXPECT_EQ(text_of(buffer), "immutable");
  EXPECT_EQ(text_of(SealedBuffer::open(buffer.fd()).value()), "immutable");
}

TEST(Sealed, can_be_changed_by_nobody_who_has_its_descriptor) {
  const auto buffer = SealedBuffer::copy_of("test", bytes_of("immutable")).value();
  EXPECT_EQ(::mmap(nullptr, 9, PROT_READ | PROT_WRITE, MAP_SHARED, buffer.fd(), 0), MAP_FAILED);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::pwrite(buffer.fd(), "x", 1, 0), -1);
  EXPECT_EQ(errno, EPERM);
  for (const off_t size : {1, 4096}) {
    EXPECT_EQ(::ftruncate(buffer.fd(), size), -1);
    EXPECT_EQ(errno, EPERM);
  }
  EXPECT_NE(::fallocate(buffer.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1), 0);
  const std::string path = "/proc/self/fd/" + std::to_string(buffer.fd());
  const base::UniqueFd again(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(again.is_open());
  EXPECT_EQ(::pwrite(again.get(), "x", 1, 0), -1);
  EXPECT_EQ(text_of(buffer), "immutable");
}

TEST(Sealed, lasts_as_long_as_the_last_copy_and_leaves_no_descriptor) {
  const auto before = test::open_descriptors();
  {
    auto first = SealedBuffer::copy_of("test", bytes_of("kept")).value();
    const SealedBuffer second = first;
    first = SealedBuffer::copy_of("test", bytes_of("other")).value();
    EXPECT_EQ(text_of(second), "kept");
    EXPECT_EQ(text_of(first), "other");
  }
  EXPECT_EQ(test::open_descriptors(), before);
}

TEST(Sealed, is_inherited_by_a_fork) {
  const auto buffer = SealedBuffer::copy_of("test", bytes_of("inherited")).value();
  const pid_t child = ::fork();
  if (child == 0) ::_exit(text_of(buffer) == "inherited" ? 0 : 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(Sealed, refuses_memory_that_somebody_could_still_change) {
  const auto file = base::make_memfd("test", true).value();
  ASSERT_EQ(::ftruncate(file.get(), 4096), 0);
  EXPECT_TRUE(SealedBuffer::open(file.get()).error().is(Errc::protocol_violation));
  for (const int seal : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE}) {
    ASSERT_EQ(::fcntl(file.get(), F_ADD_SEALS, seal), 0);
    EXPECT_TRUE(SealedBuffer::open(file.get()).error().is(Errc::protocol_violation)) << seal;
  }
  ASSERT_EQ(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL), 0);
  EXPECT_TRUE(SealedBuffer::open(file.get()));
}

TEST(Sealed, refuses_what_is_no_memory_or_has_no_size) {
  const auto pipe = base::make_pipe().value();
  for (const int fd : {pipe.first.get(), -1, 0}) {
    EXPECT_TRUE(SealedBuffer::open(fd).error().is(Errc::protocol_violation)) << fd;
  }
  const auto empty = base::make_memfd("test", true).value();
  ASSERT_EQ(
      ::fcntl(empty.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
      0);
  EXPECT_TRUE(SealedBuffer::open(empty.get()).error().is(Errc::protocol_violation));
  EXPECT_TRUE(SealedBuffer::copy_of("test", {}).error().is(Errc::invalid_argument));
}

TEST(SealedDraft, keeps_only_the_bytes_that_were_asked_for) {
  auto draft = SealedDraft::create("test", 100'000).value();
  EXPECT_EQ(draft.bytes().size(), 100'000U);
  std::memset(draft.bytes().data(), 'a', 100'000);
  const auto buffer = std::move(draft).seal(5).value();
  EXPECT_EQ(text_of(buffer), "aaaaa");
}

TEST(SealedDraft, goes_on_after_a_size_that_it_has_not) {
  auto draft = SealedDraft::create("test", 10).value();
  for (const std::size_t size : {0, 11}) {
    EXPECT_TRUE(std::move(draft).seal(size).error().is(Errc::invalid_argument)) << size;
  }
  draft.bytes()[9] = std::byte{'z'};
  EXPECT_EQ(text_of(std::move(draft).seal(10).value()).back(), 'z');
  EXPECT_TRUE(draft.bytes().empty());
  EXPECT_TRUE(std::move(draft).seal(10).error().is(Errc::invalid_argument));
}

TEST(SealedDraft, takes_a_name_of_any_length) {
  EXPECT_TRUE(SealedDraft::create(std::string(1000, 'n'), 1));
}

}  // namespace
}  // namespace bulkhead
