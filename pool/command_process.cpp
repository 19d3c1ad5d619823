#include "pool/command_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace bulkhead::pool {
namespace {

// Of a start that another moment would let succeed: the limits of processes, memory and descriptors.
bool is_scarcity(int error_number) noexcept {
  return error_number == EAGAIN || error_number == ENOMEM || error_number == EMFILE ||
         error_number == ENFILE;
}

CommandStarter::Failure kind_of(const base::ExecFailure& failure) noexcept {
  const bool before_exec = failure.stage == base::SpawnStage::clone ||
                           failure.stage == base::SpawnStage::descriptors ||
                           failure.stage == base::SpawnStage::none;
  return before_exec && is_scarcity(failure.error_number) ? CommandStarter::Failure::scarce
                                                          : CommandStarter::Failure::refused;
}

}  // namespace

void CommandProcess::signal(int number) const noexcept { (void)::kill(-group, number); }

base::ExitStatus CommandProcess::end_group() const noexcept {
  signal(SIGKILL);
  siginfo_t ended{};
  while (::waitid(P_PID, static_cast<id_t>(group), &ended, WEXITED) != 0 && errno == EINTR) {
  }
  if (ended.si_code == CLD_EXITED) return base::Exited{ended.si_status};
  return base::Signaled{ended.si_status, ended.si_code == CLD_DUMPED};
}

bool CommandProcess::is_gone() const noexcept { return ::kill(-group, 0) != 0 && errno == ESRCH; }

Result<CommandStarter> CommandStarter::make(std::string executable,
                                            std::optional<base::ResourceLimit> nofile) {
  base::UniqueFd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  if (!null.is_open()) return errno_error(errno, "open /dev/null");
  CommandStarter starter(std::move(null));
  starter.plan_.executable = std::move(executable);
  for (char** entry = environ; *entry != nullptr; ++entry) starter.plan_.env.emplace_back(*entry);
  starter.plan_.input = starter.null_.get();
  starter.plan_.group = base::ProcessGroup::new_group;
  starter.plan_.death_signal = base::DeathSignal{SIGKILL, ::getpid()};
  if (nofile) starter.plan_.limits.push_back(*nofile);
  return starter;
}

Result<CommandProcess> CommandStarter::start(std::vector<std::string>& argv, Failure& failure) {
  CommandProcess process;
  auto output = base::make_pipe();
  auto errors = base::make_pipe();
  if (!output || !errors) {
    const auto& error = output ? errors.error() : output.error();
    failure = is_scarcity(error.code.value()) ? Failure::scarce : Failure::refused;
    return error;
  }
  plan_.output = output->second.get();
  plan_.errors = errors->second.get();
  plan_.argv.swap(argv);  // lent for the call, so that no string is copied
  base::ExecFailure reason;
  auto spawned = base::spawn(plan_, &reason);
  plan_.argv.swap(argv);
  if (!spawned) {
    // Without a stage it failed before the clone, and the code is the system's.
    if (reason.stage == base::SpawnStage::none) reason.error_number = spawned.error().code.value();
    failure = kind_of(reason);
    return spawned.error();
  }
  failure = Failure::none;
  process.group = spawned->pid;
  process.output = std::move(*output);
  process.errors = std::move(*errors);
  return process;
}

}  // namespace bulkhead::pool
