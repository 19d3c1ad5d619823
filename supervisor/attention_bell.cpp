// | tag             | writer | reader                | becomes visible          | killed in between |
// |-----------------|--------|-----------------------|--------------------------|-------------------|
// | attention.bump  | brain  | every Attention::word | the packet that was sent | the successor's   |
// |                 |        |                       | before                   | resync bumps      |
#include "supervisor/attention_bell.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <string>
#include <utility>

#include "ipc/worker_pages.hpp"

namespace bulkhead::supervisor {
namespace {

constexpr std::size_t page_bytes = ipc::worker_page_bytes;

}  // namespace

AttentionBell::AttentionBell(base::UniqueFd fd, void* address) noexcept
    : fd_(std::move(fd)), address_(address) {}

AttentionBell::AttentionBell(AttentionBell&& other) noexcept
    : fd_(std::move(other.fd_)), address_(std::exchange(other.address_, nullptr)) {}

AttentionBell& AttentionBell::operator=(AttentionBell&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(address_, other.address_);
  return *this;
}

AttentionBell::~AttentionBell() {
  if (address_ != nullptr) ::munmap(address_, page_bytes);
}

Result<AttentionBell> AttentionBell::create(const std::string& name) {
  auto file = base::make_memfd(("attention:" + name).c_str(), true);
  if (!file) return file.error();
  if (::ftruncate(file->get(), page_bytes) != 0) {
    return errno_error(errno, "size the attention page of " + name);
  }
  // Not sealed against future writers: the brain's successor has to map it writable.
  if (::fcntl(file->get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return errno_error(errno, "seal the attention page of " + name);
  }
  return adopt(std::move(*file));
}

Result<AttentionBell> AttentionBell::adopt(base::UniqueFd fd) {
  void* address = ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (address == MAP_FAILED) return errno_error(errno, "map an attention page");
  ::madvise(address, page_bytes, MADV_DONTFORK);
  return AttentionBell{std::move(fd), address};
}

Result<base::UniqueFd> AttentionBell::read_only() const {
  const std::string path = "/proc/self/fd/" + std::to_string(fd_.get());
  base::UniqueFd copy{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!copy.is_open()) return errno_error(errno, "reopen an attention page read-only");
  return copy;
}

void AttentionBell::bump() noexcept {
  auto& word = static_cast<ipc::AttentionPage*>(address_)->word;
  // sync attention.bump: release; pairs with the runtime's look at Attention::word(); publishes
  // that a control packet was sent before
  word.fetch_add(1, std::memory_order_release);
  ::syscall(SYS_futex, address_, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace bulkhead::supervisor
