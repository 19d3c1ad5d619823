// What commands wrote and nobody has printed yet: the newest part of each stream in memory, all that is older in one
// file without a name. Used by the loop that runs commands. Knows nothing of processes.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"

namespace bulkhead::pool {

// The file, in slots of one size that are used again. Threads: one.
class OutputStore {
 public:
  static constexpr std::size_t slot_bytes = std::size_t{256} << 10;

  // `directory`: where the file is made when it is first needed. `memory_max`: what all streams together may keep in
  // memory before they use the file for less than a slot.
  OutputStore(std::string directory, std::size_t memory_max)
      : directory_(std::move(directory)), memory_max_(memory_max) {}
  OutputStore(const OutputStore&) = delete;
  OutputStore& operator=(const OutputStore&) = delete;

  std::uint64_t bytes_held() const noexcept { return bytes_in_memory_ + bytes_in_file_; }

 private:
  friend class CommandOutput;

  // Errors: the system's, naming the directory.
  Result<std::uint32_t> write_slot(std::string_view bytes);
  Result<void> read_slot(std::uint32_t slot, std::string& bytes) const;
  void free_slot(std::uint32_t slot, std::size_t bytes);
  Result<void> open();

  std::string directory_;
  std::size_t memory_max_;
  base::UniqueFd file_;
  std::vector<std::uint32_t> free_;
  std::uint32_t slots_ = 0;
  std::uint64_t bytes_in_memory_ = 0, bytes_in_file_ = 0;
};

// One stream of one command. Ownership: the store outlives it.
class CommandOutput {
 public:
  explicit CommandOutput(OutputStore& store) noexcept : store_(&store) {}
  CommandOutput(const CommandOutput&) = delete;
  CommandOutput& operator=(const CommandOutput&) = delete;
  ~CommandOutput() { clear(); }

  Result<void> append(std::string_view bytes);
  bool empty() const noexcept { return !has_filed() && shown_ == tail_.size(); }
  // The oldest bytes that are left; empty when none is. Valid until the next call.
  Result<std::string_view> front();
  void pop(std::size_t bytes);
  void clear();

 private:
  struct Filed {
    std::uint32_t slot, bytes;
  };

  bool has_filed() const noexcept { return first_filed_ < filed_.size(); }
  Result<void> file_tail();

  OutputStore* store_;
  std::vector<Filed> filed_;  // older than the tail; those before first_filed_ were shown
  std::string tail_;
  std::string loaded_;     // of filed_, while it is being shown
  std::size_t shown_ = 0;  // of loaded_, or of tail_ where nothing is filed
  std::size_t first_filed_ = 0;
};

}  // namespace bulkhead::pool
