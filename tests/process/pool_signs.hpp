// What tests of pools share: signs between processes, and what must be as it was.
#pragma once

#include <gtest/gtest.h>
#include <bulkhead/pool.hpp>

#include <linux/futex.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/process_tree.hpp"

namespace bulkhead::test {

inline Deadline patience() { return Deadline::in(std::chrono::seconds(60)); }

inline int rounds(int usual) {
  const char* const wanted = std::getenv("BULKHEAD_TEST_ROUNDS");
  return wanted != nullptr ? std::atoi(wanted) : usual;
}

#if defined(__SANITIZE_THREAD__)
inline constexpr bool fork_is_possible = false;  // its runtime has a thread of its own
#else
inline constexpr bool fork_is_possible = true;
#endif

inline constexpr bool sanitized =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    true;
#else
    false;
#endif

inline void await_end(pid_t pid) {
  const auto pidfd = base::open_pidfd(pid);
  if (!pidfd) return;  // it has gone already
  pollfd dead{pidfd->get(), POLLIN, 0};
  ASSERT_EQ(::poll(&dead, 1, 60'000), 1) << pid;
}

inline std::vector<pid_t> children() {
  const auto found = base::children_of(::getpid());
  return found ? *found : std::vector<pid_t>{};
}

// Words in shared memory that tasks wait for and give.
class Signs {
 public:
  explicit Signs(std::size_t count) : words_(SharedArray<std::uint32_t>::create(count).value()) {}
  void give(std::size_t which) {
    word(which).store(1);
    ::syscall(SYS_futex, &word(which), FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
  }
  void await(std::size_t which) {
    while (word(which).load() == 0) {
      ::syscall(SYS_futex, &word(which), FUTEX_WAIT, 0, nullptr, nullptr, 0);
    }
  }
  bool given(std::size_t which) { return word(which).load() != 0; }

 private:
  friend struct detail::Body<Signs>;
  explicit Signs(SharedArray<std::uint32_t> words) : words_(std::move(words)) {}
  std::atomic<std::uint32_t>& word(std::size_t which) const {
    return reinterpret_cast<std::atomic<std::uint32_t>&>(words_[which]);
  }
  SharedArray<std::uint32_t> words_;
};

}  // namespace bulkhead::test

template <>
struct bulkhead::detail::Body<bulkhead::test::Signs> {
  static void write(BodyWriter& to, const test::Signs& signs) { to.write(signs.words_); }
  static Result<test::Signs> read(BodyReader& from) {
    auto words = from.read<SharedArray<std::uint32_t>>();
    if (!words) return words.error();
    return test::Signs(std::move(*words));
  }
};
