#include "supervisor/sealed_config.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/mapped_region.hpp"

namespace bulkhead::supervisor {
namespace {

// | magic 8 | bytes of path 8 | path | text |
constexpr std::uint64_t magic = 0x31'4746'434b'4842;  // "BHKCFG1"
struct Head {
  std::uint64_t magic;
  std::uint64_t path_bytes;
};
constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

Result<void> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR) return errno_error(errno, "copy the config into memory");
    if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

Result<base::UniqueFd> seal_config(const ConfigText& config) {
  auto fd = base::make_memfd("bulkhead-config", true);
  if (!fd) return fd.error();
  const Head head{magic, config.path.size()};
  std::string bytes(reinterpret_cast<const char*>(&head), sizeof head);
  bytes += config.path;
  bytes += config.text;
  if (auto done = write_all(fd->get(), bytes); !done) return done.error();
  if (::fcntl(fd->get(), F_ADD_SEALS, seals) != 0) return errno_error(errno, "seal the config");
  return std::move(*fd);
}

Result<ConfigText> read_sealed_config(int fd) {
  if (::fcntl(fd, F_GET_SEALS) != seals) {
    return make_error(Errc::invalid_argument,
                      "descriptor " + std::to_string(fd) + " is no sealed config");
  }
  const auto size = base::file_size(fd);
  if (!size) return size.error();
  if (*size < sizeof(Head))
    return make_error(Errc::version_mismatch, "the sealed config is too short");
  const auto region = base::MappedRegion::map(fd, *size, base::Access::sealed);
  if (!region) return region.error();
  Head head{};
  std::memcpy(&head, region->data(), sizeof head);
  if (head.magic != magic || head.path_bytes > *size - sizeof(Head)) {
    return make_error(Errc::version_mismatch, "the sealed config is of another version");
  }
  const std::string_view rest(reinterpret_cast<const char*>(region->data()) + sizeof(Head),
                              *size - sizeof(Head));
  return ConfigText{std::string(rest.substr(0, head.path_bytes)),
                    std::string(rest.substr(head.path_bytes))};
}

}  // namespace bulkhead::supervisor
