// How arguments, captures and results travel between a pool and its workers, which run the same binary. Included
// by <bulkhead/pool.hpp>; include that one. Knows nothing of workers and frames.
//
// Which form a type has is in detail/task_bodies.hpp.
#pragma once

#include <array>
#include <bit>
#include <bulkhead/error.hpp>
#include <bulkhead/rpc.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace bulkhead::detail {

// The compiler refuses to make pointers and references of bytes in a constant expression, however deep they lie, and
// so tells a closure that captures one from a closure that captures values. raw_body<T> says it for a type
// that it refuses for another reason: no constexpr constructor.
template <class T>
concept Plain = std::is_trivially_copyable_v<T> &&(raw_body<T> || requires {
  typename std::bool_constant<(
      static_cast<void>(std::bit_cast<T>(std::array<std::byte, sizeof(T)>{})), true)>;
});

// Memory that a body names by a number; whoever sends the body sends the descriptor before it.
struct Attachment {
  std::uint64_t number = 0;  // unique in the process that made it
  int fd = -1;               // borrowed from `owner`
  std::shared_ptr<const void> owner;
};
// The number of an attachment that nobody has numbered yet.
std::uint64_t next_attachment_number() noexcept;

// Where a reader finds what a body names; the errors are those of the system, or protocol_violation.
class AttachmentSource {
 public:
  virtual ~AttachmentSource() = default;
  // A descriptor that the caller owns; any number of times.
  virtual Result<int> take(std::uint64_t number) = 0;
  // Where the caller keeps its mapping, which lasts as long as the source; nullptr at first.
  virtual std::shared_ptr<void>& kept(std::uint64_t number, bool writable) = 0;
};

class BodyWriter;
class BodyReader;
template <class T>
inline constexpr bool has_form = false;

// The specialisations are in detail/task_bodies.hpp; this is of types that have no form.
template <class T>
struct Body {
  static_assert(has_form<T>,
                "arguments, items and results are plain values, strings (no literal, no view), "
                "containers of them, SharedArray, SealedBuffer, or what nlohmann::json converts; "
                "none holds a pointer or a reference");
  static void write(BodyWriter&, const T&);
  static Result<std::decay_t<T>> read(BodyReader&);
};

class BodyWriter {
 public:
  void raw(const void* from, std::size_t size) {
    const auto* const begin = static_cast<const std::byte*>(from);
    bytes_.insert(bytes_.end(), begin, begin + size);
  }
  template <class T>
  void write(const T& value) {
    Body<T>::write(*this, value);
  }
  void attach(Attachment attachment) { attachments_.push_back(std::move(attachment)); }

  const Bytes& bytes() const noexcept { return bytes_; }
  Bytes take_bytes() noexcept { return std::move(bytes_); }
  const std::vector<Attachment>& attachments() const noexcept { return attachments_; }
  std::vector<Attachment> take_attachments() noexcept { return std::move(attachments_); }
  void clear() noexcept {
    bytes_.clear();
    attachments_.clear();
  }

 private:
  Bytes bytes_;
  std::vector<Attachment> attachments_;
};

class BodyReader {
 public:
  explicit BodyReader(std::span<const std::byte> bytes, AttachmentSource* source = nullptr) noexcept
      : rest_(bytes), source_(source) {}

  template <class T>
  Result<T> read() {
    return Body<T>::read(*this);
  }
  // Errors: protocol_violation when there are fewer.
  Result<std::span<const std::byte>> take(std::size_t size);
  AttachmentSource* source() const noexcept { return source_; }
  bool at_end() const noexcept { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
  AttachmentSource* source_;
};

Error body_too_short();

}  // namespace bulkhead::detail

#include <bulkhead/detail/task_bodies.hpp>
