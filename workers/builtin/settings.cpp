#include "workers/builtin/settings.hpp"

#include <algorithm>

#include "base/nearest.hpp"
#include "base/units.hpp"

namespace bulkhead::workers {

Settings::Settings(const nlohmann::json& config) : config_(config) {
  if (!config.is_object()) problem_ = "the config is no object";
}

Settings& Settings::text(std::string_view key, std::string& to) {
  const auto* const value = find(key);
  if (value == nullptr) return *this;
  if (value->is_string()) {
    to = value->get<std::string>();
  } else {
    reject(key, "is no string");
  }
  return *this;
}

Settings& Settings::texts(std::string_view key, std::vector<std::string>& to) {
  const auto* const value = find(key);
  if (value == nullptr) return *this;
  const bool strings =
      value->is_array() && std::all_of(value->begin(), value->end(),
                                       [](const auto& element) { return element.is_string(); });
  if (strings) {
    to = value->get<std::vector<std::string>>();
  } else {
    reject(key, "is no array of strings");
  }
  return *this;
}

Settings& Settings::count(std::string_view key, std::uint64_t& to, std::uint64_t least,
                          std::uint64_t most) {
  const auto* const value = find(key);
  if (value == nullptr) return *this;
  if (value->is_number_unsigned() && value->get<std::uint64_t>() >= least &&
      value->get<std::uint64_t>() <= most) {
    to = value->get<std::uint64_t>();
  } else {
    reject(key, "is no whole number from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return *this;
}

Settings& Settings::size(std::string_view key, std::uint64_t& to, std::uint64_t least,
                         std::uint64_t most) {
  const auto* const value = find(key);
  if (value == nullptr) return *this;
  if (!value->is_string()) {
    reject(key, "is no size with a unit, like \"64KiB\"");
    return *this;
  }
  const auto bytes = base::parse_size(value->get<std::string>());
  if (!bytes) {
    reject(key, bytes.error().context);
  } else if (*bytes < least || *bytes > most) {
    reject(key, "is not between " + base::format_size(least) + " and " + base::format_size(most));
  } else {
    to = *bytes;
  }
  return *this;
}

Settings& Settings::duration(std::string_view key, std::chrono::nanoseconds& to) {
  const auto* const value = find(key);
  if (value == nullptr) return *this;
  if (!value->is_string()) {
    reject(key, "is no duration with a unit, like \"250ms\"");
    return *this;
  }
  const auto span = base::parse_duration(value->get<std::string>());
  if (!span) {
    reject(key, span.error().context);
  } else {
    to = *span;
  }
  return *this;
}

Settings& Settings::required(std::string_view key) {
  if (config_.is_object() && !config_.contains(key)) reject(key, "is missing");
  return *this;
}

Result<void> Settings::finish() const {
  if (!problem_.empty()) return make_error(Errc::bad_config, problem_);
  for (const auto& [key, value] : config_.items()) {
    if (key.starts_with("x-") || std::find(known_.begin(), known_.end(), key) != known_.end()) {
      continue;
    }
    std::string text = "config key \"" + key + "\" is unknown";
    const std::vector<std::string_view> names(known_.begin(), known_.end());
    if (const auto near = base::nearest(key, names)) {
      text += " (did you mean \"" + *near + "\"?)";
    }
    return make_error(Errc::bad_config, std::move(text));
  }
  return {};
}

const nlohmann::json* Settings::find(std::string_view key) {
  known_.emplace_back(key);
  if (!config_.is_object()) return nullptr;
  const auto found = config_.find(key);
  return found == config_.end() ? nullptr : &*found;
}

void Settings::reject(std::string_view key, std::string_view what) {
  if (!problem_.empty()) return;
  problem_ = "config key \"" + std::string(key) + "\" " + std::string(what);
}

}  // namespace bulkhead::workers
