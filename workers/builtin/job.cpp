#include "workers/builtin/job.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace bulkhead::workers {
namespace {

// Both ends are this same program on the same machine, so numbers travel as they lie in memory. What
// arrives is checked all the same: a reader that has run out reads zeros and says so at the end.
class Writer {
 public:
  template <class Number>
  void number(Number value) {
    const auto* const begin = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), begin, begin + sizeof(value));
  }
  void text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    const auto* const begin = reinterpret_cast<const std::byte*>(value.data());
    bytes_.insert(bytes_.end(), begin, begin + value.size());
  }
  std::size_t size() const noexcept { return bytes_.size(); }
  MessageBytes take() { return std::exchange(bytes_, {}); }

 private:
  MessageBytes bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  template <class Number>
  Number number() {
    Number value{};
    const auto piece = take(sizeof(value));
    if (!piece.empty()) std::memcpy(&value, piece.data(), sizeof(value));
    return value;
  }
  std::string_view text() {
    const auto piece = take(number<std::uint32_t>());
    return {reinterpret_cast<const char*>(piece.data()), piece.size()};
  }
  bool at_end() const noexcept { return bytes_.empty(); }
  bool broken() const noexcept { return broken_; }

 private:
  std::span<const std::byte> take(std::size_t size) {
    if (size > bytes_.size()) {
      broken_ = true;
      bytes_ = {};
      return {};
    }
    const auto piece = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return piece;
  }
  std::span<const std::byte> bytes_;
  bool broken_ = false;
};

constexpr std::uint32_t job_kind = 0x31424f4a, result_kind = 0x31534552, poison_kind = 0x314e5350;

void begin(Writer& out, std::uint32_t kind, const JobId& id) {
  out.number(kind);
  out.number(id.round);
  out.number(id.number);
}

Error no_message(const char* what) {
  return make_error(Errc::protocol_violation, std::string("the message is no ") + what);
}

}  // namespace

std::size_t encoded_bytes(const Piece& piece) {
  return sizeof(std::uint32_t) + piece.path.size() + 2 * sizeof(std::uint64_t);
}

MessageBytes encode(const Job& job) {
  Writer out;
  begin(out, job_kind, job.id);
  out.number(static_cast<std::uint32_t>(job.pieces.size()));
  for (const auto& piece : job.pieces) {
    out.text(piece.path);
    out.number(piece.offset);
    out.number(piece.length);
  }
  return out.take();
}

MessageBytes encode_poison(const JobId& id) {
  Writer out;
  begin(out, poison_kind, id);
  return out.take();
}

bool is_poison(std::span<const std::byte> bytes) noexcept {
  return Reader(bytes).number<std::uint32_t>() == poison_kind;
}

Result<Job> decode_job(std::span<const std::byte> bytes) {
  Reader in(bytes);
  const bool is_job = in.number<std::uint32_t>() == job_kind;
  Job job;
  job.id.round = in.number<std::uint64_t>();
  job.id.number = in.number<std::uint32_t>();
  const auto pieces = in.number<std::uint32_t>();
  while (!in.at_end()) {
    auto& piece = job.pieces.emplace_back();
    piece.path = in.text();
    piece.offset = in.number<std::uint64_t>();
    piece.length = in.number<std::uint64_t>();
  }
  if (!is_job || in.broken() || job.pieces.size() != pieces) return no_message("job");
  return job;
}

std::vector<MessageBytes> encode_result(const JobId& id, const WordCount& count,
                                        const std::vector<Failure>& failures,
                                        std::size_t message_max) {
  BULKHEAD_ASSERT(message_max >= result_message_min);
  std::vector<std::pair<std::string_view, std::uint64_t>> names(count.identifiers.begin(),
                                                                count.identifiers.end());
  std::sort(names.begin(), names.end());
  constexpr std::size_t entry_overhead = sizeof(std::uint32_t) + sizeof(std::uint64_t);

  std::vector<MessageBytes> messages;
  std::size_t next = 0;
  do {
    Writer out;
    begin(out, result_kind, id);
    const bool first = messages.empty();
    out.number(static_cast<std::uint32_t>(messages.size()));
    out.number(std::uint32_t{0});  // how many parts there are: filled in below
    out.number(first ? static_cast<std::uint32_t>(failures.size()) : std::uint32_t{0});
    for (std::size_t i = 0; first && i < failures.size(); ++i) {
      out.number(failures[i].piece);
      out.number(failures[i].error_number);
    }
    for (const auto number : {count.bytes, count.lines, count.words}) {
      out.number(first ? number : std::uint64_t{0});
    }
    for (; next < names.size(); ++next) {
      if (out.size() + names[next].first.size() + entry_overhead > message_max) break;
      out.text(names[next].first);
      out.number(names[next].second);
    }
    messages.push_back(out.take());
  } while (next < names.size());

  const auto parts = static_cast<std::uint32_t>(messages.size());
  constexpr std::size_t parts_offset = 4 + 8 + 4 + 4;
  for (auto& message : messages) std::memcpy(message.data() + parts_offset, &parts, sizeof(parts));
  return messages;
}

Result<ResultPart> decode_result(std::span<const std::byte> bytes) {
  Reader in(bytes);
  const bool is_result = in.number<std::uint32_t>() == result_kind;
  ResultPart result;
  result.id.round = in.number<std::uint64_t>();
  result.id.number = in.number<std::uint32_t>();
  result.part = in.number<std::uint32_t>();
  result.parts = in.number<std::uint32_t>();
  for (auto left = in.number<std::uint32_t>(); left > 0 && !in.broken(); --left) {
    auto& failure = result.failures.emplace_back();
    failure.piece = in.number<std::uint32_t>();
    failure.error_number = in.number<std::int32_t>();
  }
  result.count.bytes = in.number<std::uint64_t>();
  result.count.lines = in.number<std::uint64_t>();
  result.count.words = in.number<std::uint64_t>();
  while (!in.at_end()) {
    const auto name = in.text();
    result.count.count_identifier(name, in.number<std::uint64_t>());
  }
  if (!is_result || in.broken() || result.part >= result.parts)
    return no_message("result of a job");
  return result;
}

}  // namespace bulkhead::workers
