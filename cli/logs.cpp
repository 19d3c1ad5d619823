// `logs`: what workers wrote to stdout and stderr, as the logger keeps it in files.
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string_view>
#include <vector>

#include "base/fd.hpp"
#include "cli/commands.hpp"
#include "cli/log_tail.hpp"
#include "cli/system.hpp"
#include "cli/terminal.hpp"

namespace bulkhead::cli {
namespace {

// One instance's log; whole lines under its name where several are shown, as they come otherwise.
class Shown {
 public:
  Shown(std::string path, std::string prefix)
      : tail_(std::move(path)), prefix_(std::move(prefix)) {}

  bool show_last(std::size_t lines) { return show(tail_.last_lines(lines)); }
  bool show_new() { return show(tail_.read_new()); }
  bool show_unfinished_line() {
    return unfinished_.empty() || write(prefix_ + std::exchange(unfinished_, {}) + "\n");
  }

 private:
  bool show(const std::string& text) {
    if (prefix_.empty()) return write(text);
    unfinished_ += text;
    std::string lines;
    std::size_t begin = 0;
    for (std::size_t end; (end = unfinished_.find('\n', begin)) != std::string::npos;
         begin = end + 1) {
      lines += prefix_;
      lines.append(unfinished_, begin, end + 1 - begin);
    }
    unfinished_.erase(0, begin);
    return write(lines);
  }

  static bool write(const std::string& text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
           std::fflush(stdout) == 0;
  }

  LogTail tail_;
  std::string prefix_;
  std::string unfinished_;
};

std::vector<Shown> shown_files(const nlohmann::json& files, bool colours) {
  std::size_t width = 0;
  for (const auto& file : files) width = std::max(width, file.at("name").get<std::string>().size());
  std::vector<Shown> shown;
  for (const auto& file : files) {
    auto name = file.at("name").get<std::string>();
    name.append(width - name.size(), ' ');
    shown.emplace_back(file.at("path").get<std::string>(),
                       files.size() == 1 ? "" : painted(name + " | ", Colour::dim, colours));
  }
  return shown;
}

// Watches the folders, since rotation puts a new file in the place of the one that we read.
Result<base::UniqueFd> watch_folders(const nlohmann::json& files) {
  base::UniqueFd watch{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
  if (!watch.is_open()) return errno_error(errno, "watch the logs");
  std::set<std::string> folders;
  for (const auto& file : files) {
    folders.insert(std::filesystem::path(file.at("path").get<std::string>()).parent_path());
  }
  for (const auto& folder : folders) {
    if (::inotify_add_watch(watch.get(), folder.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
      return errno_error(errno, "watch " + folder);
    }
  }
  return watch;
}

// Until nobody reads our output any more.
Result<void> follow(int watch, std::vector<Shown>& shown) {
  std::array<char, 65536> events;  // what they say does not matter: something was written
  for (;;) {
    for (auto& file : shown) {
      if (!file.show_new()) return {};
    }
    if (!wait_while_read(watch, std::chrono::milliseconds(-1))) return {};
    if (::read(watch, events.data(), events.size()) < 0 && errno != EINTR && errno != EAGAIN) {
      return errno_error(errno, "watch the logs");
    }
  }
}

}  // namespace

Outcome logs(const SystemChoice& choice, const LogsOptions& options) {
  auto system = reach(choice);
  if (!system) return complain(system.error());
  const auto answer =
      system->request("logs", {{"name", options.name}}, Deadline::in(answer_timeout));
  if (!answer) return complain(answer.error());
  const auto& files = answer->at("files");
  auto shown = shown_files(files, colours_wanted(STDOUT_FILENO));

  // The watch begins before the first look, so that nothing falls between them.
  Result<base::UniqueFd> watch = base::UniqueFd();
  if (options.follow) watch = watch_folders(files);
  if (!watch) return complain(watch.error());
  for (auto& file : shown) {
    if (!file.show_last(options.lines)) return Outcome::failed;
    if (!options.follow && !file.show_unfinished_line()) return Outcome::failed;
  }
  if (!options.follow) return Outcome::done;
  const auto followed = follow(watch->get(), shown);
  return followed ? Outcome::done : complain(followed.error());
}

}  // namespace bulkhead::cli
