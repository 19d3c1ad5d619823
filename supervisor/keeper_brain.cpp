#include "supervisor/keeper_brain.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "supervisor/keeper_store.hpp"

namespace bulkhead::supervisor {
namespace {

// The whole store and a few of our own.
constexpr std::size_t descriptors_max = keeper_layout::store_entries_max + 8;

// Static and not on the heap: a keeper that cannot start a brain for want of memory would be no keeper.
std::array<base::FdMapping, descriptors_max> mappings;
std::array<int, descriptors_max> numbers;
alignas(16) std::array<std::byte, base::spawn_stack_bytes> child_stack;

}  // namespace

Result<void> KeeperBrain::prepare(const KeeperArguments& arguments) {
  arguments_ = arguments;
  program_.reset(::open(arguments.brain_program.c_str(), O_PATH | O_CLOEXEC));
  if (!program_.is_open())
    return errno_error(errno, "open the brain's program " + arguments.brain_program);
  null_device_.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null_device_.is_open()) return errno_error(errno, "open /dev/null");
  auto number = base::duplicate(null_device_.get());
  if (!number) return number.error();
  socket_number_ = std::move(*number);

  BrainArguments brain;
  brain.keeper_page = arguments.keeper_page;
  brain.state = arguments.state;
  brain.keeper_socket = socket_number_.get();
  brain.listener = arguments.listener;
  brain.config = arguments.config;
  brain.system = arguments.system;
  words_ = command_line(arguments.brain_program, brain);
  for (auto& word : words_) argv_.push_back(word.data());
  argv_.push_back(nullptr);
  return {};
}

std::span<base::FdMapping> KeeperBrain::inherited_descriptors(const KeeperStore& store,
                                                              int socket) noexcept {
  std::size_t count = 0;
  const auto add = [&](int source, int target) { mappings[count++] = {source, target}; };
  add(null_device_.get(), STDIN_FILENO);
  add(STDOUT_FILENO, STDOUT_FILENO);
  add(STDERR_FILENO, STDERR_FILENO);
  add(socket, socket_number_.get());
  for (const int fd :
       {arguments_.keeper_page, arguments_.state, arguments_.listener, arguments_.config}) {
    add(fd, fd);
  }
  const std::size_t stored = store.list(numbers);
  for (std::size_t i = 0; i < stored; ++i) add(numbers[i], numbers[i]);
  return {mappings.data(), count};
}

base::ExecFailure KeeperBrain::start(const KeeperStore& store) noexcept {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return {base::SpawnStage::descriptors, errno};
  }
  socket_.reset(ends[0]);
  const base::UniqueFd theirs{ends[1]};

  base::SpawnScript script;
  script.executable_fd = program_.get();
  script.argv = argv_.data();
  script.env = environ;
  script.fds = inherited_descriptors(store, theirs.get());
  script.scratch = numbers;
  script.group = base::ProcessGroup::new_session;  // Ctrl-C reaches the keeper alone
  script.death_signal = SIGKILL;
  script.expected_parent = ::getpid();
  script.stack = child_stack;
  const auto started = base::run_script(script);
  pid_ = started.pid;
  pidfd_.reset(started.pidfd);
  return started.failure;
}

void KeeperBrain::forget() noexcept {
  pid_ = 0;
  pidfd_.reset();
  socket_.reset();
}

void KeeperBrain::hang_up() noexcept {
  kill();
  socket_.reset();
}

void KeeperBrain::kill() noexcept {
  if (pidfd_.is_open()) (void)::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

}  // namespace bulkhead::supervisor
