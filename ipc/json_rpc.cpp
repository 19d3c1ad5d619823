#include "ipc/json_rpc.hpp"

#include <limits>

namespace bulkhead::ipc {
namespace {

// What JSON-RPC 2.0 defines, and the number it leaves to the implementation for the rest.
constexpr int code_method_not_found = -32601;
constexpr int code_invalid_params = -32602;
constexpr int code_server_error = -32000;

int code_of(const Error& error) {
  if (error.is(Errc::method_not_found)) return code_method_not_found;
  if (error.is(Errc::invalid_argument) || error.is(Errc::protocol_violation)) {
    return code_invalid_params;
  }
  return code_server_error;
}

constexpr int errc_last = static_cast<int>(Errc::cancelled);

// A number that fits an int, or 0.
int small_number(const Json& object, const char* key) {
  const auto at = object.find(key);
  if (at == object.end() || !at->is_number_integer()) return 0;
  const auto value = at->get<std::int64_t>();
  if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max()) return 0;
  return static_cast<int>(value);
}

const Json& empty_object() {
  static const Json object = Json::object();
  return object;
}

}  // namespace

Json request(std::uint64_t id, std::string_view method, Json params) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}};
}

Json notification(std::string_view method, Json params) {
  return {{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}};
}

Json result(std::uint64_t id, Json value) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(value)}};
}

Json error_answer(std::uint64_t id, const Error& error) {
  Json data = Json::object();
  if (error.code.category() == bulkhead_category()) {
    data["errc"] = error.code.value();
  } else {
    data["errno"] = error.code.value();
  }
  return {{"jsonrpc", "2.0"},
          {"id", id},
          {"error", {{"code", code_of(error)}, {"message", error.context}, {"data", data}}}};
}

Error error_from(const Json& answer) {
  const Json* object = &answer;
  if (answer.is_object()) {
    if (const auto inner = answer.find("error"); inner != answer.end()) object = &*inner;
  }
  if (!object->is_object()) return make_error(Errc::remote_error, "an error without a text");
  std::string context;
  if (const auto text = object->find("message"); text != object->end() && text->is_string()) {
    context = text->get<std::string>();
  }
  if (const auto data = object->find("data"); data != object->end() && data->is_object()) {
    const int errc = small_number(*data, "errc");
    if (errc > 0 && errc <= errc_last) {
      return make_error(static_cast<Errc>(errc), std::move(context));
    }
    const int number = small_number(*data, "errno");
    if (number > 0) return errno_error(number, std::move(context));
  }
  switch (small_number(*object, "code")) {
    case code_method_not_found: return make_error(Errc::method_not_found, std::move(context));
    case code_invalid_params: return make_error(Errc::invalid_argument, std::move(context));
    default: return make_error(Errc::remote_error, std::move(context));
  }
}

Result<ControlMessage> read_message(const Json& body) {
  const auto foul = [](const char* what) {
    return make_error(Errc::protocol_violation, std::string("control message: ") + what);
  };
  if (!body.is_object()) return foul("it is not an object");
  const auto version = body.find("jsonrpc");
  if (version == body.end() || *version != "2.0") return foul("jsonrpc is not \"2.0\"");

  ControlMessage message{};
  const auto id = body.find("id");
  if (id != body.end()) {
    if (!id->is_number_unsigned()) return foul("id is not an unsigned number");
    message.id = id->get<std::uint64_t>();
  }
  if (const auto method = body.find("method"); method != body.end()) {
    if (!method->is_string()) return foul("method is not a string");
    message.kind =
        id == body.end() ? ControlMessage::Kind::notification : ControlMessage::Kind::request;
    message.method = method->get_ref<const std::string&>();
    const auto params = body.find("params");
    message.content = params == body.end() ? &empty_object() : &*params;
    if (!message.content->is_object()) return foul("params is not an object");
    return message;
  }
  if (id == body.end()) return foul("neither method nor id");
  const auto value = body.find("result"), error = body.find("error");
  if ((value == body.end()) == (error == body.end())) return foul("not one of result and error");
  message.kind = error == body.end() ? ControlMessage::Kind::result : ControlMessage::Kind::error;
  message.content = error == body.end() ? &*value : &*error;
  return message;
}

FieldReader::FieldReader(std::string_view message, const Json& object)
    : message_(message), object_(object) {
  if (!object.is_object()) problem_ = "it is not an object";
}

FieldReader& FieldReader::reject(std::string_view field, std::string_view what) {
  if (!failed()) problem_ = "field " + std::string(field) + " " + std::string(what);
  return *this;
}

Error FieldReader::error() const {
  return make_error(Errc::protocol_violation,
                    "control message " + std::string(message_) + ": " + problem_);
}

const Json* FieldReader::find(std::string_view field, bool required) {
  if (failed()) return nullptr;
  const auto at = object_.find(field);
  if (at != object_.end() && (required || !at->is_null())) return &*at;
  if (required) reject(field, "is missing");
  return nullptr;
}

void FieldReader::read(std::string_view field, const Json& value, std::string& to) {
  if (!value.is_string()) return void(reject(field, "is not a string"));
  to = value.get<std::string>();
}

void FieldReader::read(std::string_view field, const Json& value, bool& to) {
  if (!value.is_boolean()) return void(reject(field, "is neither true nor false"));
  to = value.get<bool>();
}

void FieldReader::read(std::string_view field, const Json& value, std::int64_t& to) {
  const bool fits =
      value.is_number_integer() &&
      (!value.is_number_unsigned() ||
       value.get<std::uint64_t>() <= std::uint64_t{std::numeric_limits<std::int64_t>::max()});
  if (!fits) return void(reject(field, "is not an integer"));
  to = value.get<std::int64_t>();
}

void FieldReader::read(std::string_view field, const Json& value, std::uint64_t& to) {
  if (!value.is_number_unsigned()) return void(reject(field, "is not an unsigned integer"));
  to = value.get<std::uint64_t>();
}

void FieldReader::read(std::string_view field, const Json& value, std::uint32_t& to) {
  std::uint64_t wide = 0;
  read(field, value, wide);
  if (wide > std::numeric_limits<std::uint32_t>::max()) return void(reject(field, "is too large"));
  to = static_cast<std::uint32_t>(wide);
}

void FieldReader::read(std::string_view field, const Json& value, std::uint16_t& to) {
  std::uint64_t wide = 0;
  read(field, value, wide);
  if (wide > std::numeric_limits<std::uint16_t>::max()) return void(reject(field, "is too large"));
  to = static_cast<std::uint16_t>(wide);
}

void FieldReader::read(std::string_view field, const Json& value, int& to) {
  std::int64_t wide = 0;
  read(field, value, wide);
  if (wide < std::numeric_limits<int>::min() || wide > std::numeric_limits<int>::max()) {
    return void(reject(field, "is out of range"));
  }
  to = static_cast<int>(wide);
}

void FieldReader::read(std::string_view field, const Json& value, std::vector<std::string>& to) {
  if (!value.is_array()) return void(reject(field, "is not an array"));
  std::vector<std::string> names;
  for (const auto& element : value) {
    if (!element.is_string()) return void(reject(field, "is not an array of strings"));
    names.push_back(element.get<std::string>());
  }
  to = std::move(names);
}

void FieldReader::read(std::string_view, const Json& value, Json& to) { to = value; }

std::size_t FieldReader::read_name(std::string_view field, const Json& value,
                                   const std::string_view* names, std::size_t count) {
  std::string allowed;
  for (std::size_t i = 0; i < count; ++i) {
    if (value == names[i]) return i;
    allowed += (i == 0 ? "" : ", ") + std::string(names[i]);
  }
  reject(field, "is none of " + allowed);
  return 0;
}

}  // namespace bulkhead::ipc
