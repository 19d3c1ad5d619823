// MessagePack bodies: nlohmann's reader recurses and throws, so what a peer sent is measured by a
// reader that builds nothing before a value is built from it.
#include <bulkhead/rpc.hpp>

#include <algorithm>
#include <cstring>
#include <string>

#include "ipc/json_bounds.hpp"

namespace bulkhead::rpc {
namespace {

using nlohmann::json;

// Ends the reading, and with it nlohmann's recursion, at the first value that lies too deep.
class DepthGauge final : public nlohmann::json_sax<json> {
 public:
  bool too_deep() const noexcept { return too_deep_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool key(string_t&) override { return true; }
  bool start_object(std::size_t) override { return enter(); }
  bool start_array(std::size_t) override { return enter(); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool parse_error(std::size_t, const std::string&, const json::exception&) override {
    return false;
  }

 private:
  bool enter() noexcept {
    too_deep_ = ++depth_ > ipc::json_depth_max;
    return !too_deep_;
  }
  bool leave() noexcept {
    --depth_;
    return true;
  }

  std::size_t depth_ = 0;
  bool too_deep_ = false;
};

}  // namespace

Result<Bytes> pack_json(const json& value) {
  if (!ipc::nests_at_most(value, ipc::json_depth_max)) {
    return make_error(Errc::invalid_argument,
                      "a body nested deeper than " + std::to_string(ipc::json_depth_max));
  }
  try {
    const auto packed = json::to_msgpack(value);
    Bytes bytes(packed.size());
    std::transform(packed.begin(), packed.end(), bytes.begin(),
                   [](std::uint8_t byte) { return std::byte{byte}; });
    return bytes;
  } catch (const json::exception& error) {  // a string or an array of more than 4 G elements
    return make_error(Errc::invalid_argument, error.what());
  }
}

Result<json> unpack_json(std::span<const std::byte> bytes) {
  const auto* const begin = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const auto* const end = begin + bytes.size();
  try {
    DepthGauge gauge;
    const bool whole = json::sax_parse(begin, end, &gauge, json::input_format_t::msgpack);
    if (gauge.too_deep()) {
      return make_error(Errc::protocol_violation,
                        "a body nested deeper than " + std::to_string(ipc::json_depth_max));
    }
    if (whole) return json::from_msgpack(begin, end);
  } catch (const json::exception& error) {
    return make_error(Errc::protocol_violation, error.what());
  }
  return make_error(Errc::protocol_violation, "a body that is not one MessagePack value");
}

namespace detail {

Error unexpected_kind(BodyKind came) {
  return make_error(Errc::protocol_violation, came == BodyKind::raw
                                                  ? "raw bytes came, MessagePack was expected"
                                                  : "MessagePack came, raw bytes were expected");
}

Error unexpected_size(std::size_t came, std::size_t expected) {
  return make_error(Errc::protocol_violation, std::to_string(came) + " raw bytes came, " +
                                                  std::to_string(expected) + " were expected");
}

Error unreadable(const char* why) { return make_error(Errc::protocol_violation, why); }
Error unwritable(const char* why) { return make_error(Errc::invalid_argument, why); }

}  // namespace detail
}  // namespace bulkhead::rpc
