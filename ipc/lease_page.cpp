#include "ipc/lease_page.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace bulkhead::ipc {
namespace {

constexpr std::uint64_t condemned = 1;

}  // namespace

Result<base::UniqueFd> make_lease_page(const std::string& name) {
  auto fd = base::make_memfd(("bulkhead:lease:" + name).substr(0, 240).c_str(), true);
  if (!fd) return fd.error();
  if (::ftruncate(fd->get(), lease_page_bytes) != 0) {
    return errno_error(errno, "size the lease page of " + name);
  }
  if (::fcntl(fd->get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return errno_error(errno, "seal the lease page of " + name);
  }
  return fd;
}

Result<base::MappedRegion> map_lease_page(int fd) {
  const auto size = base::file_size(fd);
  if (!size) return size.error();
  if (*size < lease_page_bytes) {
    return make_error(Errc::protocol_violation, "the lease page is too small");
  }
  return base::MappedRegion::map(fd, lease_page_bytes, base::Access::read_write);
}

void LeaseClock::begin(std::uint64_t now_ns) noexcept {
  begun_ = now_ns << 1;
  // sync lease.word: release; pairs with is_overdue(); nothing but the word
  page().word.store(begun_, std::memory_order_release);
}

bool LeaseClock::end() noexcept {
  std::uint64_t expected = begun_;
  // sync lease.word: acq_rel; pairs with is_overdue(): one of the two wins (C1)
  return page().word.compare_exchange_strong(expected, 0, std::memory_order_acq_rel);
}

void LeaseClock::go_on() noexcept {
  // sync lease.word: release; pairs with is_overdue(); nothing but the word
  page().word.store(begun_, std::memory_order_release);
}

bool LeaseClock::is_condemned() const noexcept {
  // sync lease.word: acquire; pairs with is_overdue(); nothing but the word
  return (page().word.load(std::memory_order_acquire) & condemned) != 0;
}

void forget_lease(LeasePage& page) noexcept {
  // sync lease.word: release; pairs with LeaseClock::end(); nothing but the word
  page.word.store(0, std::memory_order_release);
}

bool is_overdue(LeasePage& page, std::uint64_t timeout_ns, std::uint64_t now_ns) noexcept {
  // sync lease.word: acquire; pairs with LeaseClock::begin(); nothing but the word
  std::uint64_t word = page.word.load(std::memory_order_acquire);
  if (word == 0) return false;
  if ((word & condemned) != 0) return true;  // (C2)
  const std::uint64_t began = word >> 1;
  if (now_ns < began || now_ns - began < timeout_ns) return false;
  // sync lease.word: acq_rel; pairs with LeaseClock::end(): one of the two wins (C1)
  return page.word.compare_exchange_strong(word, word | condemned, std::memory_order_acq_rel);
}

std::uint64_t due_at(const LeasePage& page, std::uint64_t timeout_ns,
                     std::uint64_t now_ns) noexcept {
  // sync lease.word: acquire; pairs with LeaseClock::begin(); nothing but the word
  const std::uint64_t word = page.word.load(std::memory_order_acquire);
  const std::uint64_t began = word >> 1;
  // A worker may write any number: to believe only the past keeps it from putting us off.
  return (word == 0 || began > now_ns ? now_ns : began) + timeout_ns;
}

}  // namespace bulkhead::ipc
