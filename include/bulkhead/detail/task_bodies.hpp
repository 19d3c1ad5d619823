// The forms in which types travel to a pool's workers and back. Included by detail/task_body.hpp; include that one.
//
//   plain values      their bytes: trivially copyable, and neither pointer nor reference inside
//   string, vector    a length, then the elements; those of a vector of plain values in one piece
//   pair, tuple, optional, map: their parts
//   SharedArray, SealedBuffer: a descriptor that rides along, mapped by the other side, never copied
//   all else          what nlohmann::json can convert, as MessagePack
#pragma once

#include <bulkhead/detail/task_body.hpp>
#include <bulkhead/rpc.hpp>
#include <bulkhead/sealed.hpp>

#include <concepts>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <map>
#include <optional>
#include <ranges>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace bulkhead::detail {

template <Plain T>
struct Body<T> {
  static void write(BodyWriter& to, const T& value) { to.raw(&value, sizeof value); }
  static Result<T> read(BodyReader& from) {
    const auto bytes = from.take(sizeof(T));
    if (!bytes) return bytes.error();
    // Not by std::bit_cast, of which g++ 12 thinks that some closures are not trivially copyable.
    union Copy {
      Copy() noexcept {}
      std::byte none;
      T value;
    } copy;
    std::memcpy(static_cast<void*>(&copy.value), bytes->data(), sizeof(T));
    return copy.value;
  }
};

template <class Element, class Container>
struct ContiguousBody {
  static void write(BodyWriter& to, const Container& value) {
    to.write(std::uint64_t{value.size()});
    if constexpr (Plain<Element>) {
      to.raw(value.data(), value.size() * sizeof(Element));
    } else {
      for (const auto& element : value) to.write(element);
    }
  }
  static Result<Container> read(BodyReader& from) {
    const auto size = from.read<std::uint64_t>();
    if (!size) return size.error();
    Container value;
    if constexpr (Plain<Element>) {
      if (*size > SIZE_MAX / sizeof(Element)) return body_too_short();
      const auto bytes = from.take(*size * sizeof(Element));
      if (!bytes) return bytes.error();
      value.resize(*size);
      if (*size != 0) std::memcpy(value.data(), bytes->data(), bytes->size());
    } else {
      for (std::uint64_t i = 0; i < *size; ++i) {
        auto element = from.read<Element>();
        if (!element) return element.error();
        value.push_back(std::move(*element));
      }
    }
    return value;
  }
};
template <>
struct Body<std::string> : ContiguousBody<char, std::string> {};
template <class T>
requires(!std::same_as<T, bool>) struct Body<std::vector<T>> : ContiguousBody<T, std::vector<T>> {
};

// What consists of parts that are read in the order in which they were written.
template <class Whole, class... Parts>
struct TupleBody {
  static void write(BodyWriter& to, const Whole& value) {
    std::apply([&](const auto&... parts) { (to.write(parts), ...); }, value);
  }
  static Result<Whole> read(BodyReader& from) {
    std::optional<Error> failure;
    const auto part = [&]<class T>(std::type_identity<T>) -> std::optional<T> {
      if (failure) return std::nullopt;
      auto value = from.read<T>();
      if (value) return std::move(*value);
      failure = value.error();
      return std::nullopt;
    };
    std::tuple<std::optional<Parts>...> parts{part(std::type_identity<Parts>{})...};
    if (failure) return *failure;
    return std::apply([](auto&... each) { return Whole{std::move(*each)...}; }, parts);
  }
};
template <class A, class B>
requires(!Plain<std::pair<A, B>>) struct Body<std::pair<A, B>>
    : TupleBody<std::pair<A, B>, std::remove_const_t<A>, B> {
};
template <class... T>
requires(!Plain<std::tuple<T...>>) struct Body<std::tuple<T...>>
    : TupleBody<std::tuple<T...>, T...> {
};

template <class T>
requires(!Plain<std::optional<T>>) struct Body<std::optional<T>> {
  static void write(BodyWriter& to, const std::optional<T>& value) {
    to.write(value.has_value());
    if (value) to.write(*value);
  }
  static Result<std::optional<T>> read(BodyReader& from) {
    const auto present = from.read<bool>();
    if (!present) return present.error();
    if (!*present) return std::optional<T>();
    auto value = from.read<T>();
    if (!value) return value.error();
    return std::optional<T>(std::move(*value));
  }
};

template <class K, class V, class Compare>
struct Body<std::map<K, V, Compare>> {
  using Map = std::map<K, V, Compare>;
  static void write(BodyWriter& to, const Map& value) {
    to.write(std::uint64_t{value.size()});
    for (const auto& [key, mapped] : value) {
      to.write(key);
      to.write(mapped);
    }
  }
  static Result<Map> read(BodyReader& from) {
    auto entries = from.read<std::vector<std::pair<K, V>>>();
    if (!entries) return entries.error();
    return Map(std::make_move_iterator(entries->begin()), std::make_move_iterator(entries->end()));
  }
};

template <>
struct Body<SealedBuffer> {
  static void write(BodyWriter&, const SealedBuffer&);
  static Result<SealedBuffer> read(BodyReader&);
};

// Everything else, but for views: what they see would not come along.
template <class T>
requires(!Plain<T> && !std::ranges::borrowed_range<T> &&
         rpc::detail::travels_as_msgpack<T>) struct Body<T> {
  static void write(BodyWriter& to, const T& value) {
    to.write(rpc::encode<T>(value, rpc::BodyKind::msgpack).value().body);
  }
  static Result<T> read(BodyReader& from) {
    const auto packed = from.read<Bytes>();
    if (!packed) return packed.error();
    return rpc::decode<T>(rpc::BodyKind::msgpack, *packed);
  }
};

}  // namespace bulkhead::detail
