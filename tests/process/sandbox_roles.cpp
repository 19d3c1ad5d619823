// What a strict sandbox permits, done from within one by a worker for tests alone: threads, an event loop, files where
// files may be, a library loaded late. Says "wrong" of what failed. Started by sandbox_test.
#include <bulkhead/async.hpp>
#include <bulkhead/worker.hpp>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace bulkhead;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::printf("wrong: %s (%s)\n", what, std::strerror(errno));
  std::fflush(stdout);
}

void run_threads() {
  std::vector<std::thread> threads;
  std::atomic<int> count{0};
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { ++count; });
  for (auto& thread : threads) thread.join();
  expect(count == 4, "four threads");
}

void run_a_loop() {
  boost::asio::io_context io;
  boost::asio::steady_timer timer(io, std::chrono::milliseconds(1));
  int turns = 0;
  timer.async_wait([&](const auto& error) { turns += error ? 0 : 1; });
  boost::asio::post(io, [&] { ++turns; });
  std::thread([&] { io.run(); }).join();
  expect(turns == 2, "an event loop");
}

void use_own_directory() {
  namespace fs = std::filesystem;
  std::error_code failed;
  std::ofstream("one") << "text";
  fs::create_directory("within", failed);
  expect(!failed, "make a directory");
  fs::rename("one", "within/two", failed);
  expect(!failed, "move a file into it");
  std::string text;
  std::ifstream("within/two") >> text;
  expect(text == "text", "read it there");
  expect(::truncate("within/two", 1) == 0, "cut it");
  expect(fs::remove_all("within", failed) == 2 && !failed, "remove it");
  errno = 0;
  expect(::chmod(".", 0700) != 0 && errno == EPERM, "be answered EPERM for chmod");
}

void use_other_places(const std::string& config) {
  expect(std::ifstream(config).good(), "read what lies beside the config");
  expect(::open(config.c_str(), O_WRONLY | O_CLOEXEC) < 0 && errno == EACCES, "not write it");
  expect(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES, "not see /proc");
  expect(std::ofstream("/dev/null").good(), "write to nowhere");
  std::uint64_t chance = 0;
  std::ifstream("/dev/urandom").read(reinterpret_cast<char*>(&chance), sizeof chance);
  expect(chance != 0, "ask for chance");
  // One that nobody has loaded yet.
  void* const library = ::dlopen("libutil.so.1", RTLD_NOW);
  expect(library != nullptr, "load a library");
}

void use_signals_of_its_own() {
  static volatile std::sig_atomic_t seen = 0;
  std::signal(SIGUSR1, [](int) { seen = 1; });
  std::raise(SIGUSR1);
  expect(seen == 1, "send itself a signal");
  expect(::kill(::getpid(), SIGUSR1) == 0, "send itself a signal by number");
}

void ask_for_limits() {
  rlimit limit{};
  expect(::getrlimit(RLIMIT_NOFILE, &limit) == 0, "ask for a limit");
  errno = 0;
  expect(::setrlimit(RLIMIT_NOFILE, &limit) != 0 && errno == EPERM, "not set one");
}

}  // namespace

int main(int argc, char** argv) {
  return Worker::run(argc, argv, [](Worker& self) -> Result<void> {
    self.ready();
    run_threads();
    run_a_loop();
    use_own_directory();
    use_other_places(self.config().at("beside"));
    use_signals_of_its_own();
    ask_for_limits();
    std::puts("everything was tried");
    return {};
  });
}
