#include "workers/leak.hpp"

#include <fcntl.h>

#include <cstddef>
#include <list>
#include <vector>

namespace bulkhead::workers {
namespace {

// Below the size from which malloc maps each block by itself (mallopt(3), M_MMAP_THRESHOLD), as most of what leaks.
constexpr std::size_t block_bytes = 64 << 10;

}  // namespace

void leak(const ipc::Leak& wanted, int fd) {
  // Reachable, so that neither compiler nor leak checker thinks them away; never destroyed, as what is forgotten.
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): it is to outlive the call
  static auto& forgotten = *new std::list<std::vector<std::byte>>;
  for (std::uint64_t had = 0; had < wanted.bytes; had += block_bytes) {
    forgotten.emplace_back(block_bytes, std::byte{1});
  }
  for (std::uint32_t had = 0; had < wanted.descriptors; ++had) {
    if (::fcntl(fd, F_DUPFD_CLOEXEC, 0) < 0) return;
  }
}

}  // namespace bulkhead::workers
