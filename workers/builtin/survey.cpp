#include "workers/builtin/survey.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/fd.hpp"

namespace bulkhead::workers {
namespace {

constexpr std::size_t piece_bytes = std::size_t{256} << 10;

// O_NONBLOCK: a pipe that took a file's place must not hang us.
Result<base::UniqueFd> open_file(const std::string& path) {
  base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.is_open()) return errno_error(errno, path);
  struct stat status = {};
  if (::fstat(fd.get(), &status) != 0) return errno_error(errno, path);
  if (!S_ISREG(status.st_mode)) return make_error(Errc::invalid_argument, path + " is no file");
  return fd;
}

// Fills jobs with pieces, one job after the other.
class JobPacker {
 public:
  JobPacker(std::uint64_t round, const JobLimits& limits, std::vector<Job>& jobs)
      : round_(round), limits_(limits), jobs_(jobs) {}

  void add(Piece piece) {
    const auto bytes = encoded_bytes(piece);
    if (jobs_.empty() || text_ >= limits_.job_bytes || message_ + bytes > limits_.message_bytes) {
      jobs_.push_back({{round_, static_cast<std::uint32_t>(jobs_.size())}, {}});
      text_ = 0;
      message_ = job_bytes_empty;
    }
    text_ += piece.length;
    message_ += bytes;
    jobs_.back().pieces.push_back(std::move(piece));
  }

 private:
  const std::uint64_t round_;
  const JobLimits limits_;
  std::vector<Job>& jobs_;
  std::uint64_t text_ = 0;
  std::size_t message_ = 0;
};

Result<void> cut_file(const std::string& path, const JobLimits& limits, std::string& buffer,
                      JobPacker& packer) {
  if (job_bytes_empty + encoded_bytes({path, 0, 0}) > limits.message_max) {
    return errno_error(ENAMETOOLONG, path);
  }
  auto fd = open_file(path);
  if (!fd) return fd.error();
  buffer.resize(piece_bytes);
  Cutter cutter(limits.job_bytes);
  for (;;) {
    const auto got = ::read(fd->get(), buffer.data(), buffer.size());
    if (got < 0) return errno_error(errno, path);
    if (got == 0) break;
    cutter.feed(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
  }
  for (const auto& range : cutter.finish()) packer.add({path, range.offset, range.length});
  return {};
}

void note(Survey& survey, std::string path, const std::string& reason) {
  survey.unreadable.push_back({std::move(path), reason});
}

// A directory that cannot be listed is counted and named; the rest is still worth counting.
void list(const std::filesystem::path& directory, Survey& survey) {
  std::error_code failed;
  std::filesystem::directory_iterator entry(directory, failed);
  if (failed) return note(survey, directory.string(), failed.message());
  std::vector<std::filesystem::path> below;
  for (const std::filesystem::directory_iterator end; entry != end; entry.increment(failed)) {
    std::error_code unknown;
    const auto status = entry->symlink_status(unknown);
    if (unknown) {
      note(survey, entry->path().string(), unknown.message());
    } else if (std::filesystem::is_directory(status)) {
      below.push_back(entry->path());
    } else if (std::filesystem::is_regular_file(status)) {
      survey.files.push_back(entry->path().string());
    }
  }
  if (failed) note(survey, directory.string(), failed.message());
  for (const auto& path : below) list(path, survey);
}

}  // namespace

void Cutter::feed(std::string_view piece) {
  std::size_t from = 0;
  for (;;) {
    // The first byte that may end the range, seen from the beginning of this piece.
    const auto wanted = begin_ + range_bytes_ - 1;
    std::size_t at = std::max<std::uint64_t>(wanted, at_) - at_;
    at = std::max(at, from);
    while (at < piece.size() && !is_space(piece[at])) ++at;
    if (at >= piece.size()) break;
    const auto end = at_ + at + 1;
    ranges_.push_back({begin_, end - begin_});
    begin_ = end;
    from = at + 1;
  }
  at_ += piece.size();
}

std::vector<Cutter::Range> Cutter::finish() {
  if (at_ > begin_) ranges_.push_back({begin_, at_ - begin_});
  return std::move(ranges_);
}

Result<Survey> survey(const std::string& directory, std::uint64_t round, const JobLimits& limits,
                      const std::function<bool()>& go_on) {
  std::error_code failed;
  if (!std::filesystem::is_directory(directory, failed)) {
    return make_error(Errc::bad_config,
                      "config key \"directory\": " + directory +
                          (failed ? ": " + failed.message() : " is no directory"));
  }
  Survey found;
  list(directory, found);
  std::sort(found.files.begin(), found.files.end());
  std::string buffer;
  JobPacker packer(round, limits, found.jobs);
  std::vector<std::string> readable;
  for (auto& path : found.files) {
    if (!go_on()) return make_error(Errc::cancelled, "looking through " + directory);
    if (auto cut = cut_file(path, limits, buffer, packer); !cut) {
      note(found, path, cut.error().code.message());
    } else {
      readable.push_back(std::move(path));
    }
  }
  found.files = std::move(readable);
  return found;
}

Result<std::string_view> read_range(const std::string& path, std::uint64_t offset,
                                    std::uint64_t length, std::string& buffer) {
  const auto fd = open_file(path);
  if (!fd) return fd.error();
  buffer.resize(length);
  std::size_t size = 0;
  while (size < length) {
    const auto got =
        ::pread(fd->get(), buffer.data() + size, length - size, static_cast<off_t>(offset + size));
    if (got < 0) return errno_error(errno, path);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  return std::string_view(buffer.data(), size);
}

Result<std::string_view> read_whole(const std::string& path, std::string& buffer) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) return errno_error(errno, path);
  return read_range(path, 0, static_cast<std::uint64_t>(status.st_size), buffer);
}

}  // namespace bulkhead::workers
