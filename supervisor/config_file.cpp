// From a path to a config, and from an issue to the line that a person reads.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/fd.hpp"
#include "base/units.hpp"
#include "supervisor/config.hpp"
#include "supervisor/config_file.hpp"
#include "supervisor/json_source.hpp"

namespace bulkhead::supervisor {
namespace {

constexpr std::size_t file_bytes_max = std::size_t{16} << 20;  // or /dev/zero would never end

Error unreadable(int error_number) {
  const std::string remedy = error_number == ENOENT   ? "expected a config file there"
                             : error_number == EISDIR ? "expected a config file, not a directory"
                             : error_number == EACCES ? "expected a file that you may read"
                                                      : "expected a readable file";
  return make_error(Errc::bad_config, std::string("cannot be read: ") +
                                          std::strerror(error_number) + " (" + remedy + ")");
}

}  // namespace

Result<std::string> read_config_text(const std::string& path) {
  base::UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file.is_open()) return unreadable(errno);
  std::string text;
  std::vector<char> chunk(std::size_t{1} << 16);
  for (;;) {
    const ssize_t n = ::read(file.get(), chunk.data(), chunk.size());
    if (n == 0) return text;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return unreadable(errno);
    text.append(chunk.data(), static_cast<std::size_t>(n));
    if (text.size() > file_bytes_max) {
      return make_error(Errc::bad_config, "the file is too large (expected at most " +
                                              base::format_size(file_bytes_max) + ")");
    }
  }
}

LoadedConfig load_config(const std::string& path, const ParseContext& context) {
  auto text = read_config_text(path);
  if (!text) return {"", std::vector<ConfigIssue>{{1, 1, "", text.error().context}}};
  auto parsed = parse_config(*text, path, context);
  return {std::move(*text), std::move(parsed)};
}

// The whole document's pointer is "", which would look like a hole in the line: shown as "/".
std::string format_issue(const std::string& file, const ConfigIssue& issue) {
  const std::string pointer = issue.pointer.empty() ? "/" : issue.pointer;
  return json_source::printable(file) + ":" + std::to_string(issue.line) + ":" +
         std::to_string(issue.column) + ": " + json_source::printable(pointer) + ": " + issue.what;
}

}  // namespace bulkhead::supervisor
