#include "pool/command_output.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

namespace bulkhead::pool {
namespace {

// Below that a stream stays in memory whatever the others hold: a slot of the file costs more.
constexpr std::size_t not_worth_a_slot = 16384;

// True when all bytes went. errno says why not.
template <class Transfer>
bool transfer_whole(std::size_t bytes, Transfer transfer) {
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t n = transfer(done);
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else if (n == 0) {
      errno = EIO;
      return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace

Result<void> OutputStore::open() {
  file_.reset(::open(directory_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file_.is_open()) return {};
  // Some file systems have no files without a name.
  if (errno != EOPNOTSUPP && errno != EISDIR) {
    return errno_error(errno, "keep what a command writes in " + directory_);
  }
  std::string path = directory_ + "/bulkhead-map-XXXXXX";
  file_.reset(::mkostemp(path.data(), O_CLOEXEC));
  if (!file_.is_open()) return errno_error(errno, "keep what a command writes in " + directory_);
  ::unlink(path.c_str());
  return {};
}

Result<std::uint32_t> OutputStore::write_slot(std::string_view bytes) {
  if (!file_.is_open()) {
    if (auto opened = open(); !opened) return opened.error();
  }
  const std::uint32_t slot = free_.empty() ? slots_ : free_.back();
  const auto begin = static_cast<off_t>(slot * std::uint64_t{slot_bytes});
  const bool written = transfer_whole(bytes.size(), [&](std::size_t done) {
    return ::pwrite(file_.get(), bytes.data() + done, bytes.size() - done,
                    begin + static_cast<off_t>(done));
  });
  if (!written) return errno_error(errno, "keep what a command writes in " + directory_);
  free_.empty() ? void(++slots_) : free_.pop_back();
  bytes_in_file_ += bytes.size();
  return slot;
}

Result<void> OutputStore::read_slot(std::uint32_t slot, std::string& bytes) const {
  const auto begin = static_cast<off_t>(slot * std::uint64_t{slot_bytes});
  const bool read = transfer_whole(bytes.size(), [&](std::size_t done) {
    return ::pread(file_.get(), bytes.data() + done, bytes.size() - done,
                   begin + static_cast<off_t>(done));
  });
  if (!read) return errno_error(errno, "read back what a command wrote, in " + directory_);
  return {};
}

void OutputStore::free_slot(std::uint32_t slot, std::size_t bytes) {
  // Only to give the space back early: the slot is used again either way.
  (void)::fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    static_cast<off_t>(slot * std::uint64_t{slot_bytes}), slot_bytes);
  free_.push_back(slot);
  bytes_in_file_ -= bytes;
}

Result<void> CommandOutput::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto part = bytes.substr(0, OutputStore::slot_bytes - tail_.size());
    tail_ += part;
    store_->bytes_in_memory_ += part.size();
    bytes.remove_prefix(part.size());
    const bool scarce =
        store_->bytes_in_memory_ > store_->memory_max_ && tail_.size() >= not_worth_a_slot;
    if (scarce || tail_.size() == OutputStore::slot_bytes) {
      if (auto filed = file_tail(); !filed) return filed;
    }
  }
  return {};
}

Result<void> CommandOutput::file_tail() {
  const auto slot = store_->write_slot(tail_);
  if (!slot) return slot.error();
  filed_.push_back({*slot, static_cast<std::uint32_t>(tail_.size())});
  store_->bytes_in_memory_ -= tail_.size();
  tail_.clear();
  return {};
}

Result<std::string_view> CommandOutput::front() {
  if (!has_filed()) return std::string_view(tail_).substr(shown_);
  if (loaded_.empty()) {
    loaded_.resize(filed_[first_filed_].bytes);
    if (auto read = store_->read_slot(filed_[first_filed_].slot, loaded_); !read) {
      return read.error();
    }
  }
  return std::string_view(loaded_).substr(shown_);
}

void CommandOutput::pop(std::size_t bytes) {
  shown_ += bytes;
  if (!has_filed() || shown_ < loaded_.size()) return;
  store_->free_slot(filed_[first_filed_].slot, filed_[first_filed_].bytes);
  ++first_filed_;
  loaded_.clear();
  shown_ = 0;
}

void CommandOutput::clear() {
  for (; has_filed(); ++first_filed_) {
    store_->free_slot(filed_[first_filed_].slot, filed_[first_filed_].bytes);
  }
  store_->bytes_in_memory_ -= tail_.size();
  filed_ = {};
  tail_ = {};
  loaded_ = {};
  shown_ = first_filed_ = 0;
}

}  // namespace bulkhead::pool
