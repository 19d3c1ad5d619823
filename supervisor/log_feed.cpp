#include "supervisor/log_feed.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

namespace bulkhead::supervisor {
namespace {

constexpr int pipe_bytes = 1 << 20;  // what a burst may hold while the logger is busy elsewhere

}  // namespace

LogFeed::LogFeed(const SystemConfig& config, const Plan& plan, const BrainArguments& arguments,
                 KeeperClient& keeper)
    : config_(config),
      plan_(plan),
      arguments_(arguments),
      keeper_(keeper),
      pipes_(plan.instances.size()) {
  for (Slot slot = 0; slot < plan.instances.size(); ++slot) {
    pipes_[slot].read = keeper.take("log/read/" + plan.instances[slot].name);
    pipes_[slot].write = keeper.take("log/write/" + plan.instances[slot].name);
  }
}

const WorkerConfig& LogFeed::worker_of(Slot slot) const {
  return config_.workers[plan_.instances[slot].worker_index];
}

std::string LogFeed::path(Slot slot) const {
  const auto& directory = worker_of(slot).logs.directory;
  const std::string base =
      directory.empty() ? arguments_.system.runtime_dir + "/" + arguments_.system.name + "/logs"
                        : directory;
  return base + "/" + plan_.instances[slot].name + ".log";
}

Result<int> LogFeed::output(Slot slot, ControlPort* logger) {
  Pipe& pipe = pipes_[slot];
  if (pipe.read.is_open() && pipe.write.is_open()) return pipe.write.get();
  auto ends = base::make_pipe();
  if (!ends) return ends.error();
  ::fcntl(ends->second.get(), F_SETPIPE_SZ, pipe_bytes);  // refused beyond pipe-user-pages-soft
  const std::string& name = plan_.instances[slot].name;
  for (const auto& [tag, fd] : {std::pair{"log/read/" + name, ends->first.get()},
                                std::pair{"log/write/" + name, ends->second.get()}}) {
    if (const auto stored = keeper_.put(tag, fd); !stored) return stored.error();
  }
  pipe = {std::move(ends->first), std::move(ends->second)};
  make_directory(slot);
  if (logger != nullptr) announce(*logger, slot);
  return pipe.write.get();
}

void LogFeed::make_directory(Slot slot) const {
  std::error_code ignored;  // the logger reports a directory that it cannot write to
  std::filesystem::create_directories(std::filesystem::path(path(slot)).parent_path(), ignored);
}

// A reload may have brought another directory for a pipe that there is.
void LogFeed::introduce(ControlPort& logger) const {
  for (Slot slot = 0; slot < pipes_.size(); ++slot) {
    if (!pipes_[slot].read.is_open()) continue;
    make_directory(slot);
    announce(logger, slot);
  }
}

void LogFeed::announce(ControlPort& logger, Slot slot) const {
  const Logs& logs = worker_of(slot).logs;
  const int fd = pipes_[slot].read.get();
  logger.send(ipc::notification(
                  "log.add", {{"name", plan_.instances[slot].name},
                              {"path", path(slot)},
                              {"max_size", logs.max_size},
                              {"keep", logs.keep},
                              {"overflow", logs.overflow == LogOverflow::drop ? "drop" : "block"},
                              {"fds", {"pipe"}}}),
              std::span<const int>(&fd, 1));
}

}  // namespace bulkhead::supervisor
