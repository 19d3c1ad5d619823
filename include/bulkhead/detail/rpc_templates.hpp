// The templates of <bulkhead/rpc.hpp>, which includes this file; include that one. How values become
// bodies and back; knows nothing of frames and channels.
#pragma once

#include <bulkhead/rpc.hpp>

#include <array>
#include <bit>
#include <concepts>
#include <cstring>
#include <exception>

namespace bulkhead::rpc {
namespace detail {

template <class T>
concept Blob = std::same_as<T, Bytes> || std::same_as<T, std::span<const std::byte>>;

template <class T>
concept FromJson = std::same_as<T, nlohmann::json> || requires(const nlohmann::json& json, T& to) {
  nlohmann::adl_serializer<T>::from_json(json, to);
} || requires(const nlohmann::json& json) {
  nlohmann::adl_serializer<T>::from_json(json);
};

template <class T>
concept ToJson = std::same_as<T, nlohmann::json> || requires(nlohmann::json& json, const T& from) {
  nlohmann::adl_serializer<T>::to_json(json, from);
};

template <class T>
constexpr bool travels_as_msgpack = ToJson<T>&& FromJson<T> && !Blob<T>;

Error unexpected_kind(BodyKind came);
Error unexpected_size(std::size_t came, std::size_t expected);
Error unreadable(const char* why);
Error unwritable(const char* why);
inline Error unwritable_kind() { return unwritable("the type has no MessagePack form"); }

// nlohmann casts between number types without a look at the range, which is undefined for
// numbers that a peer chose.
template <class T>
Result<T> number_from(const nlohmann::json& json) {
  if constexpr (std::is_integral_v<T>) {
    if (json.is_number_unsigned()) {
      const auto value = json.get<std::uint64_t>();
      if (std::in_range<T>(value)) return static_cast<T>(value);
    } else if (json.is_number_integer()) {
      const auto value = json.get<std::int64_t>();
      if (std::in_range<T>(value)) return static_cast<T>(value);
    }
    return unreadable("an integer in the range of the type was expected");
  } else {
    if (!json.is_number()) return unreadable("a number was expected");
    return static_cast<T>(json.get<double>());
  }
}

template <class T>
Result<T> from_msgpack(std::span<const std::byte> bytes) {
  auto json = unpack_json(bytes);
  if (!json) return json.error();
  if constexpr (std::same_as<T, nlohmann::json>) {
    return json;
  } else if constexpr (raw_body<T> && std::is_arithmetic_v<T>) {
    return number_from<T>(*json);
  } else {
    try {
      return json->template get<T>();
    } catch (const std::exception& error) {
      return unreadable(error.what());
    }
  }
}

template <class T>
Result<Bytes> to_msgpack(const T& value) {
  try {
    return pack_json(nlohmann::json(value));
  } catch (const std::exception& error) {
    return unwritable(error.what());
  }
}

}  // namespace detail

template <class T>
constexpr BodyKind body_kind() noexcept {
  return raw_body<T> || detail::Blob<T> ? BodyKind::raw : BodyKind::msgpack;
}

template <class T>
Result<Reply> encode(const T& value, BodyKind wanted) {
  static_assert(detail::Blob<T> || raw_body<T> || detail::travels_as_msgpack<T>,
                "give the type to_json and from_json, or say bulkhead::raw_body<T> = true");
  if constexpr (detail::Blob<T>) {
    return Reply{BodyKind::raw, Bytes(value.begin(), value.end())};
  } else {
    if constexpr (raw_body<T>) {
      static_assert(std::is_trivially_copyable_v<T>, "a raw body is copied as bytes");
      if (wanted == BodyKind::raw || !detail::travels_as_msgpack<T>) {
        Bytes bytes(sizeof(T));
        std::memcpy(bytes.data(), &value, sizeof(T));
        return Reply{BodyKind::raw, std::move(bytes)};
      }
    }
    if constexpr (detail::travels_as_msgpack<T>) {
      auto bytes = detail::to_msgpack(value);
      if (!bytes) return bytes.error();
      return Reply{BodyKind::msgpack, std::move(*bytes)};
    }
    return detail::unwritable_kind();
  }
}

template <class T>
Result<T> decode(BodyKind kind, std::span<const std::byte> bytes) {
  if constexpr (detail::Blob<T>) {
    if (kind != BodyKind::raw) return detail::unexpected_kind(kind);
    return T(bytes.begin(), bytes.end());
  } else {
    if constexpr (raw_body<T>) {
      if (kind == BodyKind::raw) {
        if (bytes.size() != sizeof(T)) return detail::unexpected_size(bytes.size(), sizeof(T));
        std::array<std::byte, sizeof(T)> copy;
        std::memcpy(copy.data(), bytes.data(), sizeof(T));
        return std::bit_cast<T>(copy);
      }
    }
    if constexpr (detail::travels_as_msgpack<T>) {
      if (kind == BodyKind::msgpack) return detail::from_msgpack<T>(bytes);
    }
    return detail::unexpected_kind(kind);
  }
}

}  // namespace bulkhead::rpc

namespace bulkhead {

template <class Method, class Function>
Service& Service::on(Function function) {
  using Request = typename Method::Request;
  using Response = typename Method::Response;
  static_assert(std::is_invocable_r_v<Result<Response>, Function&, const Request&>,
                "the function takes const Request& and returns Response or Result<Response>");
  return on_raw(
      std::string(Method::name),
      [function = std::move(function)](
          rpc::BodyKind kind, std::span<const std::byte> bytes) mutable -> Result<rpc::Reply> {
        auto request = rpc::decode<Request>(kind, bytes);
        if (!request) return make_error(Errc::invalid_argument, request.error().context);
        Result<Response> response = function(std::as_const(*request));
        if (!response) return make_error(Errc::remote_error, response.error().to_string());
        return rpc::encode(*response, kind);
      });
}

template <class Method>
Result<typename Method::Response> Client::call(const typename Method::Request& request,
                                               Deadline deadline) {
  static_assert(!std::is_same_v<typename Method::Response, std::span<const std::byte>>,
                "an answer must own its bytes: use bulkhead::Bytes");
  const auto body = rpc::encode(request);
  if (!body) return body.error();
  const auto reply = call_raw(Method::name, body->kind, body->body, deadline);
  if (!reply) return reply.error();
  auto response = rpc::decode<typename Method::Response>(reply->kind, reply->body);
  if (!response) {
    return make_error(Errc::protocol_violation,
                      "answer to " + std::string(Method::name) + ": " + response.error().context);
  }
  return response;
}

}  // namespace bulkhead
