// JSON-RPC 2.0 as values: builds messages, tells what a received one is, reads fields with errors
// that name the message and the field. Used by the control protocol at both ends. Must not know
// which methods there are, nor how messages travel.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::ipc {

using Json = nlohmann::json;

[[nodiscard]] Json request(std::uint64_t id, std::string_view method, Json params);
[[nodiscard]] Json notification(std::string_view method, Json params);
[[nodiscard]] Json result(std::uint64_t id, Json value);
// error.code is JSON-RPC's; error.data.errc carries our code, error.data.errno the system's.
[[nodiscard]] Json error_answer(std::uint64_t id, const Error&);
// The Error in an error answer (the whole message, or its "error" member). A code that we do not
// know becomes remote_error with the sender's text.
[[nodiscard]] Error error_from(const Json&);

// What a received message is. References its body, which must outlive it.
struct ControlMessage {
  enum class Kind : std::uint8_t { request, notification, result, error };
  Kind kind;
  std::uint64_t id = 0;           // 0 for a notification
  std::string_view method;        // "" for an answer
  const Json* content = nullptr;  // params, or result, or error: never null

  bool is_answer() const noexcept { return kind == Kind::result || kind == Kind::error; }
};
// Errors: protocol_violation for anything that is not a JSON-RPC 2.0 message with an unsigned id.
[[nodiscard]] Result<ControlMessage> read_message(const Json& body);

// An enum's value as a string out of `names`: what FieldReader::required_name reads.
template <std::size_t N, class Enum>
Json name_of(const std::string_view (&names)[N], Enum value) {
  const auto index = static_cast<std::size_t>(value);
  BULKHEAD_ASSERT(index < N);
  return names[index];
}

// Reads the fields of one object. The first wrong field stops the reading, and finish() tells of
// it: "control message link.peer: field epoch is missing" (protocol_violation).
//   FieldReader in("link.offer", params);
//   in.required("pair", offer.pair).required("epoch", offer.epoch);
//   return in.finish(std::move(offer));
// Unsigned numbers are checked against the range of their type; unknown fields are ignored.
class FieldReader {
 public:
  FieldReader(std::string_view message, const Json& object);

  template <class T>
  FieldReader& required(std::string_view field, T& to) {
    if (const Json* value = find(field, true)) read(field, *value, to);
    return *this;
  }
  // Leaves `to` alone where the field is missing or null.
  template <class T>
  FieldReader& optional(std::string_view field, T& to) {
    if (const Json* value = find(field, false)) read(field, *value, to);
    return *this;
  }
  // A string out of `names`, whose position is the enum's value.
  template <class Enum, std::size_t N>
  FieldReader& required_name(std::string_view field, const std::string_view (&names)[N], Enum& to) {
    if (const Json* value = find(field, true)) {
      to = static_cast<Enum>(read_name(field, *value, names, N));
    }
    return *this;
  }

  // Says that a field's value is wrong, where reading it could not know.
  FieldReader& reject(std::string_view field, std::string_view what);

  bool failed() const noexcept { return !problem_.empty(); }
  Error error() const;
  template <class T>
  Result<T> finish(T value) const {
    if (failed()) return error();
    return value;
  }

 private:
  const Json* find(std::string_view field, bool required);
  void read(std::string_view field, const Json&, std::string&);
  void read(std::string_view field, const Json&, bool&);
  void read(std::string_view field, const Json&, std::int64_t&);
  void read(std::string_view field, const Json&, std::uint64_t&);
  void read(std::string_view field, const Json&, std::uint32_t&);
  void read(std::string_view field, const Json&, std::uint16_t&);
  void read(std::string_view field, const Json&, int&);
  void read(std::string_view field, const Json&, std::vector<std::string>&);
  void read(std::string_view field, const Json&, Json&);
  std::size_t read_name(std::string_view field, const Json&, const std::string_view* names,
                        std::size_t count);

  std::string_view message_;
  const Json& object_;
  std::string problem_;
};

}  // namespace bulkhead::ipc
