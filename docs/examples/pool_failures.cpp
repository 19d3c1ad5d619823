// What docs/pool.md quotes of failures: each cause, and what is done about them. Each function checks what the guide
// says of it.
#include <bulkhead/pool.hpp>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace bulkhead;

namespace {

void expect(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "pool_failures: not so: %s\n", what);
  std::exit(1);
}

template <class T>
void expect_cause(const Future<T>& future, FailureCause cause) {
  expect(!future.get() && future.failure()->cause == cause, to_string(cause));
}

int run_for_ever() {
  volatile bool more = true;
  while (more) continue;
  return 0;
}

void causes(Pool& pool) {
  expect_cause(pool.submit([] { throw std::out_of_range("no such key"); }),
               FailureCause::exception);
  expect_cause(pool.submit([]() -> Result<int> { return make_error(Errc::not_found, "no key"); }),
               FailureCause::error);
  expect_cause(pool.submit([] { std::abort(); }), FailureCause::signal);
  expect_cause(pool.submit([] { return std::vector<char>(std::size_t{1} << 60).size(); }),
               FailureCause::out_of_memory);
  expect_cause(pool.submit([] { std::exit(3); }), FailureCause::exited);
  expect_cause(pool.submit_with({.timeout = 50ms}, [] { return run_for_ever(); }),
               FailureCause::timed_out);
  Pool broken({.workers = 1, .initializer = [] { throw std::runtime_error("no licence"); }});
  expect_cause(broken.submit([] {}), FailureCause::could_not_start);
  const auto unmapped = broken.map(std::vector{1, 2, 3}, [](int x) { return x; });
  expect(unmapped.failures.size() == 3, "each item could not start");
  std::optional<Future<int>> orphan;
  {
    Pool brief({.workers = 1});
    orphan = brief.submit([] { return run_for_ever(); });
  }
  expect_cause(*orphan, FailureCause::closed);
}

struct NoSuchCity : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void words(Pool& pool) {
  auto unread = pool.submit([]() -> Result<int> { return errno_error(EACCES, "open prices.txt"); });
  (void)unread.wait();

  expect(unread.failure()->in_words() == "open prices.txt: Permission denied", "the reason too");
}

void exceptions(Pool& pool) {
  rethrow_as<NoSuchCity>();
  try {
    pool.submit([] { throw NoSuchCity("Atlantis"); }).value();
  } catch (const NoSuchCity& e) {
    std::printf("%s\n", e.what());  // Atlantis
    return;
  }
  expect(false, "an exception keeps its type");
}

int value_behind(const int* pointer) { return *pointer; }

void places(Pool& pool) {
  auto crashes = pool.submit([] { return value_behind(nullptr); });
  if (!crashes.get()) {
    std::printf("%s\n", crashes.failure()->in_words().c_str());  // … SIGSEGV reading 0x0
    for (const auto& frame : crashes.failure()->backtrace()) {
      std::printf("  %s at %s:%d\n", frame.function.c_str(), frame.file.c_str(), frame.line);
    }
  }

  expect(crashes.failure() != nullptr && !crashes.failure()->backtrace().empty(), "a place");
}

void time_limits(Pool& pool) {
  auto limited = pool.submit_with({.timeout = 100ms}, [] { return run_for_ever(); });
  if (const auto result = limited.get(); !result && limited.is_ready()) {
    std::printf("%s\n", result.error().to_string().c_str());  // the task took longer …
  }

  auto polite = pool.submit_with({.timeout = 100ms}, [] {
    while (!Pool::stop_requested()) {
      // a step of something long
    }
  });

  const int before = static_cast<int>(pool.stats().died);
  expect_cause(limited, FailureCause::timed_out);
  expect_cause(polite, FailureCause::timed_out);
  expect(static_cast<int>(pool.stats().died) == before, "who stops when asked lives on");
}

void cancel(Pool& pool) {
  auto endless = pool.submit([] { return run_for_ever(); });
  endless.cancel();

  expect_cause(endless, FailureCause::cancelled);
}

void retries(Pool& pool) {
  const auto flags = SharedArray<int>::create(1, "flags");
  if (!flags) return;
  auto second_try = pool.submit_with(
      {.on_crash = OnCrash::retry, .retries = 2},
      [](const SharedArray<int>& tried) {
        if (tried[0]++ == 0) std::abort();
        return 42;
      },
      *flags);

  expect(second_try.value() == 42 && pool.stats().retried == 1, "a second try");
}

}  // namespace

int main(int argc, char** argv) {
  Pool::entry(argc, argv);
  Pool pool({.workers = 2});
  causes(pool);
  words(pool);
  exceptions(pool);
  places(pool);
  time_limits(pool);
  cancel(pool);
  retries(pool);
}
