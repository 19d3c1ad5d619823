#include "base/runtime_dir.hpp"

#include <unistd.h>

#include <cstdlib>

namespace bulkhead::base {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

std::string runtime_directory() {
  if (auto own = variable("BULKHEAD_RUNTIME_DIR"); !own.empty()) return own;
  if (auto user = variable("XDG_RUNTIME_DIR"); !user.empty()) return user + "/bulkhead";
  if (::getuid() == 0) return "/run/bulkhead";
  return "/tmp/bulkhead-" + std::to_string(::getuid());
}

std::string control_socket_path(std::string_view runtime_dir, std::string_view name) {
  return std::string(runtime_dir) + "/" + std::string(name) + ".sock";
}

}  // namespace bulkhead::base
