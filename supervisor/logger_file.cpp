// Writing to a log file, and making room by renaming.
#include "supervisor/logger_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace bulkhead::supervisor {

void LogFile::set_limits(RotationLimits limits) noexcept {
  limits_ = limits;
  limits_.max_size = std::max<std::uint64_t>(limits_.max_size, 1);
}

Appended LogFile::append(std::string_view text) {
  if (const int error = look_at_file(); error != 0) return {0, error};
  std::size_t done = 0;
  while (done < text.size()) {
    const std::string_view rest = text.substr(done);
    const std::size_t part = part_that_fits(rest);
    if (part == 0) {
      if (const int error = rotate(); error != 0) return {done, error};
      continue;
    }
    const ssize_t written = ::write(fd_.get(), rest.data(), part);
    if (written < 0) {
      if (errno == EINTR) continue;
      const int error = errno;
      fd_.reset();
      return {done, error};
    }
    done += static_cast<std::size_t>(written);
    size_ += static_cast<std::uint64_t>(written);
    at_line_start_ = text[done - 1] == '\n';
  }
  return {done, 0};
}

// Somebody may have deleted or shortened the file since the last time.
int LogFile::look_at_file() {
  if (fd_.is_open()) {
    struct stat status {};
    if (::fstat(fd_.get(), &status) == 0 && status.st_nlink > 0) {
      size_ = static_cast<std::uint64_t>(status.st_size);
      return 0;
    }
  }
  return open();
}

int LogFile::open() {
  // Readable as well, to see how it ends. A fifo opens at once this way, whoever reads it.
  constexpr int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY;
  fd_.reset(::open(path_.c_str(), flags, 0640));
  if (!fd_.is_open() && errno == ENOENT) {
    std::error_code ignored;  // the open below tells
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), ignored);
    fd_.reset(::open(path_.c_str(), flags, 0640));
  }
  if (!fd_.is_open()) return errno;
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return errno;
  regular_ = S_ISREG(status.st_mode);
  size_ = static_cast<std::uint64_t>(status.st_size);
  if (!std::exchange(opened_before_, true) && !end_torn_line()) return errno;
  if (regular_ && size_ == 0) at_line_start_ = true;
  return 0;
}

// A predecessor that was killed may have left half a line; what it wrote last comes again, and must
// not be glued to that half.
bool LogFile::end_torn_line() {
  char last = '\n';
  if (!regular_ || size_ == 0) return true;
  if (::pread(fd_.get(), &last, 1, static_cast<off_t>(size_ - 1)) != 1 || last == '\n') return true;
  if (::write(fd_.get(), "\n", 1) != 1) return false;
  ++size_;
  return true;
}

// Whole lines where that is possible. 0: the file is full.
std::size_t LogFile::part_that_fits(std::string_view text) const noexcept {
  if (!regular_) return text.size();
  const std::uint64_t room = limits_.max_size > size_ ? limits_.max_size - size_ : 0;
  if (text.size() <= room) return text.size();
  const std::size_t last_line = text.substr(0, static_cast<std::size_t>(room)).rfind('\n');
  if (last_line != std::string_view::npos) return last_line + 1;
  const bool line_fits_in_a_new_file = at_line_start_ && size_ > 0;
  return line_fits_in_a_new_file ? 0 : static_cast<std::size_t>(room);
}

std::string LogFile::old_path(std::uint32_t number) const {
  return number == 0 ? path_ : path_ + "." + std::to_string(number);
}

std::string LogFile::tail(std::size_t lines, std::size_t bytes) const {
  std::string text;
  for (std::uint32_t number = 0; number <= std::min(limits_.keep, 1U); ++number) {
    // One more than wanted shows whether a line begins there.
    const auto wanted = static_cast<off_t>(bytes + 1 - text.size());
    const base::UniqueFd file(::open(old_path(number).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status {};
    const bool is_file =
        file.is_open() && ::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode);
    if (!is_file || wanted == 0) break;
    const off_t begin = std::max<off_t>(0, status.st_size - wanted);
    std::string part(static_cast<std::size_t>(status.st_size - begin), '\0');
    const ssize_t got = ::pread(file.get(), part.data(), part.size(), begin);
    part.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    text.insert(0, part);
    if (static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) > lines) break;
  }
  if (text.size() > bytes) {
    const std::size_t line_end = text.find('\n', text.size() - bytes - 1);
    const bool has_whole_line = line_end != std::string::npos && line_end + 1 < text.size();
    text.erase(0, has_whole_line ? line_end + 1 : text.size() - bytes);
  }
  std::size_t begin = text.size(), found = 0;
  while (begin > 0 && (begin == text.size() || text[begin - 1] != '\n' || ++found < lines)) --begin;
  return text.substr(begin);
}

// Shifts up to the first number that is free, so that a rotation which was killed half-way costs no
// file when it is done again.
int LogFile::rotate() {
  fd_.reset();
  if (limits_.keep == 0) {
    if (::unlink(path_.c_str()) != 0 && errno != ENOENT) return errno;
    return open();
  }
  std::uint32_t free_number = 1;
  while (free_number < limits_.keep && ::access(old_path(free_number).c_str(), F_OK) == 0) {
    ++free_number;
  }
  for (std::uint32_t number = free_number; number > 0; --number) {
    const std::string from = old_path(number - 1);
    if (::rename(from.c_str(), old_path(number).c_str()) != 0 && errno != ENOENT) return errno;
  }
  return open();
}

}  // namespace bulkhead::supervisor
