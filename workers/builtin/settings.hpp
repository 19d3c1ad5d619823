// Reads a built-in worker's "config", with one error that names the key. Used by every built-in worker.
#pragma once

#include <bulkhead/error.hpp>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::workers {

// Each reader leaves its target alone where the key is absent, so the target holds the default.
//   Settings(self.config()).text("link", link).duration("after", after).finish()
class Settings {
 public:
  explicit Settings(const nlohmann::json& config);

  Settings& text(std::string_view key, std::string& to);
  Settings& texts(std::string_view key, std::vector<std::string>& to);
  Settings& count(std::string_view key, std::uint64_t& to, std::uint64_t least, std::uint64_t most);
  Settings& size(std::string_view key, std::uint64_t& to, std::uint64_t least, std::uint64_t most);
  Settings& duration(std::string_view key, std::chrono::nanoseconds& to);
  Settings& required(std::string_view key);  // after its reader

  // Errors: bad_config with the first thing that was wrong, also for a key that nobody read.
  [[nodiscard]] Result<void> finish() const;

 private:
  const nlohmann::json* find(std::string_view key);
  void reject(std::string_view key, std::string_view what);

  const nlohmann::json& config_;
  std::vector<std::string> known_;
  std::string problem_;
};

}  // namespace bulkhead::workers
