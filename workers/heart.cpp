#include "workers/heart.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <utility>

namespace bulkhead::workers {

Result<Heart> Heart::open(std::uint32_t generation) {
  auto fd = base::make_memfd("bulkhead-beat", true);
  if (!fd) return fd.error();
  if (::ftruncate(fd->get(), static_cast<off_t>(ipc::worker_page_bytes)) != 0) {
    return errno_error(errno, "sizing the beat page");
  }
  auto region =
      base::MappedRegion::map(fd->get(), ipc::worker_page_bytes, base::Access::read_write);
  if (!region) return region.error();
  constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
  if (::fcntl(fd->get(), F_ADD_SEALS, seals) != 0) {
    return errno_error(errno, "sealing the beat page");
  }
  Heart heart;
  heart.fd_ = std::move(*fd);
  heart.region_ = std::move(*region);
  // relaxed, all of them: the brain learns of the page by a packet, and the kernel orders that.
  auto* const beat_page = ::new (heart.region_.data()) ipc::BeatPage{};
  beat_page->version.store(ipc::BeatPage::version_value,
                           std::memory_order_relaxed);                 // relaxed: see above
  beat_page->generation.store(generation, std::memory_order_relaxed);  // relaxed: see above
  beat_page->magic.store(ipc::BeatPage::magic_value,
                         std::memory_order_relaxed);  // relaxed: see above
  return heart;
}

void Heart::belongs_to(std::uint32_t generation) noexcept {
  // relaxed: only a brain that begins asks for it, and takes a page of another generation for no page at all
  page().generation.store(generation, std::memory_order_relaxed);
}

// Two threads that beat at once may count once: the watchdog asks only whether the word changed.
void Heart::beat() noexcept {
  auto& count = page().beat;
  // relaxed: a sign of life that publishes nothing
  const auto next = count.load(std::memory_order_relaxed) + 1;
  count.store(next, std::memory_order_relaxed);  // relaxed: as above
}

void Heart::started() noexcept {
  beat();
  // relaxed: a sign of life that publishes nothing
  page().phase.store(static_cast<std::uint32_t>(ipc::BeatPhase::busy), std::memory_order_relaxed);
}

void Heart::sleeping(bool asleep) noexcept {
  beat();
  const auto phase = asleep ? ipc::BeatPhase::idle : ipc::BeatPhase::busy;
  // relaxed: a sign of life that publishes nothing
  page().phase.store(static_cast<std::uint32_t>(phase), std::memory_order_relaxed);
}

}  // namespace bulkhead::workers
