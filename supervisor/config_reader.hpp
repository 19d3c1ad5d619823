// Typed reading of a config's values: each reader returns the value, or reports what is wrong with it
// and returns nothing. Used by config_*.cpp; knows nothing of what the keys mean.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/config.hpp"
#include "supervisor/json_source.hpp"

namespace bulkhead::supervisor {

class Issues {
 public:
  void add(json_source::Position at, std::string pointer, std::string what);
  bool empty() const noexcept { return found_.empty(); }
  std::size_t size() const noexcept { return found_.size(); }
  std::vector<ConfigIssue> sorted() const;  // by position; what was said twice is said once

 private:
  std::vector<ConfigIssue> found_;
};

struct Key {  // that a section of the config may have
  std::string_view name;
};

template <class E>
struct Named {
  std::string_view name;
  E value;
};

// A value, where it stands, and where to report.
struct At {
  const json_source::Value* value;
  std::string pointer;
  Issues* issues;

  void wrong(std::string what) const { issues->add(value->at, pointer, std::move(what)); }
  void wrong_type(std::string_view kind, std::string_view expected) const;
  At element(std::size_t index) const;
  At member(const json_source::Member&) const;
};

// An object with known keys; the constructor reports the unknown ones. Not an object: reported, empty.
class ObjectAt {
 public:
  ObjectAt(At at, std::span<const Key> keys, std::string_view expected = "expected an object, {…}");

  bool has(std::string_view key) const noexcept { return at_.value->find(key) != nullptr; }
  std::optional<At> find(std::string_view key) const;
  void missing(std::string_view key, std::string_view expected) const;
  void wrong_at_key(std::string_view key, std::string what) const;
  const At& at() const noexcept { return at_; }

 private:
  void report_unknown(const json_source::Member&, std::span<const Key>) const;
  At at_;
};

// An object whose keys are names (of workers, links, variables); empty when it is no object.
struct Entry {
  std::string name;
  json_source::Position name_at;
  At at;
};
std::vector<Entry> entries(const At&);
std::vector<At> elements(const At&, std::string_view expected);  // of an array

std::optional<std::string> read_text(const At&, std::string_view expected = "a string");
std::optional<bool> read_boolean(const At&);
std::optional<std::uint64_t> read_integer(const At&, std::uint64_t min, std::uint64_t max);
std::optional<double> read_number(const At&, double min, double max);
std::optional<Duration> read_duration(const At&, Duration min, Duration max);
std::optional<std::uint64_t> read_size(const At&, std::uint64_t min, std::uint64_t max);
std::optional<std::size_t> read_choice(const At&, std::span<const std::string_view> choices);

// Where an object may be switched off: true for "none". Anything else but an object is reported.
bool read_none(const At&, std::string_view expected);

template <class E, std::size_t N>
std::optional<E> read_enum(const At& at, const Named<E> (&names)[N]) {
  std::vector<std::string_view> choices;
  for (const auto& named : names) choices.push_back(named.name);
  const auto chosen = read_choice(at, choices);
  if (!chosen) return std::nullopt;
  return names[*chosen].value;
}

template <class T>
void keep(T& into, const std::optional<T>& value) {
  if (value) into = *value;
}

inline constexpr std::size_t name_bytes_max = 63;
bool is_name(std::string_view) noexcept;
void check_name(json_source::Position, const At&, std::string_view name, std::string_view of_what);

std::string describe(const json_source::Value&);  // for a message: 250, "text", an object
std::string choices_text(std::span<const std::string_view>);  // "a", "b" or "c"

}  // namespace bulkhead::supervisor
