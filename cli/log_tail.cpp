#include "cli/log_tail.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

namespace bulkhead::cli {
namespace {

constexpr off_t chunk_bytes = 65536;
constexpr int rotations_max = 1000;  // more than any config keeps

base::UniqueFd open_to_read(const std::string& path) {
  return base::UniqueFd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

// How many lines `text` has, a last one without newline included.
std::size_t count_lines(std::string_view text) {
  const auto newlines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  return newlines + (!text.empty() && text.back() != '\n' ? 1 : 0);
}

std::string_view keep_last_lines(std::string_view text, std::size_t count) {
  if (count == 0) return {};
  std::size_t at = text.size();
  if (at > 0 && text[at - 1] == '\n') --at;
  for (; at > 0; --at) {
    if (text[at - 1] == '\n' && --count == 0) return text.substr(at);
  }
  return text;
}

// The end of a file up to `end`, at least `lines` lines of it where it has as many.
std::string read_backwards(int fd, off_t end, std::size_t lines) {
  std::string text;
  std::array<char, chunk_bytes> chunk;
  // One line more than wanted: the first may be cut.
  while (end > 0 && count_lines(text) <= lines) {
    const off_t begin = std::max<off_t>(0, end - chunk_bytes);
    const ssize_t n = ::pread(fd, chunk.data(), static_cast<std::size_t>(end - begin), begin);
    if (n != end - begin) break;
    text.insert(0, chunk.data(), static_cast<std::size_t>(n));
    end = begin;
  }
  return text;
}

}  // namespace

std::string LogTail::last_lines(std::size_t count) {
  open_newest();
  if (!file_.is_open()) return {};
  const off_t end = ::lseek(file_.get(), 0, SEEK_END);
  std::string text = read_backwards(file_.get(), end, count);
  for (int number = 1; number <= rotations_max && count_lines(text) < count; ++number) {
    const auto older = open_to_read(rotated(number));
    if (!older.is_open()) break;
    const off_t older_end = ::lseek(older.get(), 0, SEEK_END);
    text.insert(0, read_backwards(older.get(), older_end, count - count_lines(text)));
  }
  return std::string(keep_last_lines(text, count));
}

std::string LogTail::read_new() {
  std::string text;
  for (;;) {
    if (!file_.is_open()) open_newest();
    if (!file_.is_open()) return text;
    text += rest_of_current();
    if (current_is(path_)) return text;
    // Rotated: nothing is added to the old file once the new one exists, so one more look at it
    // sees the rest.
    struct stat newest {};
    if (::stat(path_.c_str(), &newest) != 0) return text;
    text += rest_of_current();
    open_oldest_after_current();
  }
}

void LogTail::open_newest() { file_ = open_to_read(path_); }

// More than one rotation may have happened since the last look.
void LogTail::open_oldest_after_current() {
  for (int number = 1; number <= rotations_max; ++number) {
    if (!current_is(rotated(number))) continue;
    file_ = open_to_read(number == 1 ? path_ : rotated(number - 1));
    return;
  }
  open_newest();  // the one we read has been removed: what is kept begins here
}

std::string LogTail::rest_of_current() {
  std::string text;
  std::array<char, chunk_bytes> chunk;
  for (;;) {
    const ssize_t n = ::read(file_.get(), chunk.data(), chunk.size());
    if (n > 0) {
      text.append(chunk.data(), static_cast<std::size_t>(n));
    } else if (n == 0 || errno != EINTR) {
      return text;
    }
  }
}

bool LogTail::current_is(const std::string& path) const {
  struct stat ours {
  }, theirs{};
  return ::fstat(file_.get(), &ours) == 0 && ::stat(path.c_str(), &theirs) == 0 &&
         same_file(ours, theirs);
}

}  // namespace bulkhead::cli
