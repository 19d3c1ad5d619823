#include "bench/others/figures.hpp"

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/machine.hpp"

namespace bulkhead::bench::others {

Result<void> expect_writable(const std::string& path) {
  if (path.empty() || std::ofstream(path, std::ios::app)) return {};
  return errno_error(errno,
                     "the figures cannot be written to " + path + " (give --json another path)");
}

Result<void> write_figures(const std::string& path, const nlohmann::json& rows) {
  std::ofstream file(path);
  file << nlohmann::json{{"machine", describe_machine("")}, {"rows", rows}}.dump(1) << '\n';
  file.close();
  if (file) return {};
  return errno_error(errno, "the figures cannot be written to " + path);
}

}  // namespace bulkhead::bench::others
