// What splitter and cruncher say to each other: a job is some pieces of files, a result is what is in
// them, in as many parts as messages need. Used by both. Must not know channels.
#pragma once

#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "workers/builtin/word_count.hpp"

namespace bulkhead::workers {

// Which job of which round: a result that comes twice, or from a round that is over, is known by it.
struct JobId {
  std::uint64_t round = 0;  // the splitter's generation and its round, never used twice
  std::uint32_t number = 0;
  bool operator==(const JobId&) const = default;
};

struct Piece {
  std::string path;
  std::uint64_t offset = 0, length = 0;
  bool operator==(const Piece&) const = default;
};

struct Job {
  JobId id;
  std::vector<Piece> pieces;
};

struct Failure {
  std::uint32_t piece = 0;  // its position in the job
  std::int32_t error_number = 0;
  bool operator==(const Failure&) const = default;
};

struct ResultPart {
  JobId id;
  std::uint32_t part = 0, parts = 1;
  std::vector<Failure> failures;  // pieces that could not be read; all in part 0
  WordCount count;                // bytes, lines and words in part 0 alone
};

inline constexpr std::size_t result_message_min = 1024;
using MessageBytes = std::vector<std::byte>;

MessageBytes encode(const Job&);
inline constexpr std::size_t job_bytes_empty = 20;  // an encoded job without pieces
std::size_t encoded_bytes(const Piece&);            // by how much a piece makes it longer
[[nodiscard]] Result<Job> decode_job(std::span<const std::byte>);

// A job that nobody survives, planted to see what becomes of the others.
MessageBytes encode_poison(const JobId&);
bool is_poison(std::span<const std::byte>) noexcept;

// Cuts a result into messages of at most `message_max` bytes (result_message_min at least, and four
// times the job's own message). The same count makes the same parts, so parts from two incarnations of
// a cruncher may be mixed.
std::vector<MessageBytes> encode_result(const JobId&, const WordCount&,
                                        const std::vector<Failure>& failures,
                                        std::size_t message_max);
[[nodiscard]] Result<ResultPart> decode_result(std::span<const std::byte>);

}  // namespace bulkhead::workers
