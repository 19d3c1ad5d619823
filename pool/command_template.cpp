#include "pool/command_template.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace bulkhead::pool {
namespace {

constexpr std::string_view place = "{}";

// Empty when it can be run; else why not, and what to do.
std::string why_not_runnable(const std::string& path) {
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0) {
    return errno == ENOENT ? "there is no " + path + " (expected a program there)"
                           : path + " cannot be reached: " + std::strerror(errno);
  }
  if (!S_ISREG(file.st_mode)) return path + " is no file (expected a program there)";
  if (::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0) return "";
  return path + " is not executable (chmod +x it)";
}

Result<std::string> find_in_path(const std::string& name) {
  const char* const set = std::getenv("PATH");
  const std::string_view all = set == nullptr ? "/usr/local/bin:/usr/bin:/bin" : set;
  std::string unusable;
  for (std::size_t begin = 0; begin <= all.size();) {
    const std::size_t end = std::min(all.find(':', begin), all.size());
    std::string path(all.substr(begin, end - begin));
    begin = end + 1;
    if (path.empty()) continue;  // an empty entry, "here", is no place to search
    path += "/" + name;
    struct stat file {};
    if (::stat(path.c_str(), &file) != 0 || !S_ISREG(file.st_mode)) continue;
    auto why_not = why_not_runnable(path);
    if (why_not.empty()) return path;
    if (unusable.empty()) unusable = std::move(why_not);
  }
  if (!unusable.empty()) return make_error(Errc::invalid_argument, unusable);
  return make_error(Errc::invalid_argument, "the program \"" + name +
                                                "\" is not found in PATH (install it, or write a "
                                                "path: ./" +
                                                name + ")");
}

}  // namespace

CommandTemplate::CommandTemplate(std::string executable, std::vector<std::string> words)
    : executable_(std::move(executable)), words_(std::move(words)) {}

Result<CommandTemplate> CommandTemplate::make(std::vector<std::string> words) {
  if (words.empty() || words.front().empty()) {
    return make_error(Errc::invalid_argument,
                      "a command is missing (write it after --: bulkhead map -- gzip {})");
  }
  const std::string& program = words.front();
  if (program.find(place) != std::string::npos) {
    return make_error(Errc::invalid_argument,
                      "the program itself cannot be an input (to run what the inputs name: "
                      "bulkhead map -- env {})");
  }
  std::string executable = program;
  if (program.find('/') == std::string::npos) {
    auto found = find_in_path(program);
    if (!found) return found.error();
    executable = std::move(*found);
  } else if (const auto why_not = why_not_runnable(program); !why_not.empty()) {
    return make_error(Errc::invalid_argument, why_not);
  }
  bool has_place = false;
  for (const auto& word : words) has_place = has_place || word.find(place) != std::string::npos;
  if (!has_place) words.emplace_back(place);
  return CommandTemplate(std::move(executable), std::move(words));
}

void CommandTemplate::fill(std::string_view input, std::vector<std::string>& argv) const {
  argv.resize(words_.size());
  for (std::size_t i = 0; i < words_.size(); ++i) {
    const std::string_view word = words_[i];
    std::string& filled = argv[i];
    filled.clear();
    std::size_t begin = 0;
    for (std::size_t at; (at = word.find(place, begin)) != std::string_view::npos;
         begin = at + place.size()) {
      filled += word.substr(begin, at - begin);
      filled += input;
    }
    filled += word.substr(begin);
  }
}

}  // namespace bulkhead::pool
