#include "ipc/segment.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "ipc/slab_pool.hpp"
#include "ipc/wake.hpp"

// MADV_POPULATE_* are younger (5.14) than the C library headers that we build on.
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace bulkhead::ipc {
namespace {

constexpr int segment_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

// The first chunk is touched before it matters; the rest faults in during the first lap.
constexpr std::size_t prefault_bytes_max = std::size_t{256} << 10;

void prefault(const base::MappedRegion& region, bool writable) noexcept {
  const std::size_t bytes = std::min(region.size(), prefault_bytes_max);
  if (::madvise(region.data(), bytes, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) == 0)
    return;
  // Older kernels: touch a byte of each page. Reading allocates a page of shared memory as well.
  for (std::size_t at = 0; at < bytes; at += 4096) {
    static_cast<void>(*static_cast<const volatile std::byte*>(region.data() + at));
  }
}

void keep_across_fork(const base::MappedRegion& region) noexcept {
  ::madvise(region.data(), region.size(), MADV_DOFORK);  // undoes MappedRegion's MADV_DONTFORK
}

// Nobody else can see the page yet: the magic says that the rest is there only for tidiness.
void write_header(SegmentHeader& header, const SegmentSpec& spec, std::size_t total,
                  bool membarrier) {
  const std::size_t ring_offset = spec.ring_capacity == 0 ? 0 : end_page_bytes;
  header.version.store(SegmentHeader::version_value,
                       std::memory_order_relaxed);  // relaxed: before the hand-over
  header.layout.store(segment_layout_hash(),
                      std::memory_order_relaxed);              // relaxed: before the hand-over
  header.total_bytes.store(total, std::memory_order_relaxed);  // relaxed: before the hand-over
  header.ring_offset.store(ring_offset,
                           std::memory_order_relaxed);  // relaxed: before the hand-over
  header.ring_capacity.store(spec.ring_capacity,
                             std::memory_order_relaxed);  // relaxed: before the hand-over
  header.base_index.store(spec.base_index,
                          std::memory_order_relaxed);         // relaxed: before the hand-over
  header.epoch.store(spec.epoch, std::memory_order_relaxed);  // relaxed: before the hand-over
  header.slab_bytes.store(spec.slab_bytes,
                          std::memory_order_relaxed);  // relaxed: before the hand-over
  header.membarrier.store(membarrier ? 1 : 0,
                          std::memory_order_relaxed);  // relaxed: before the hand-over
  // sync segment.magic: release; pairs with check_header(); publishes the header
  header.magic.store(SegmentHeader::magic_value, std::memory_order_release);
}

bool slabs_fit(std::uint64_t bytes) noexcept {
  return bytes == 0 ||
         (std::has_single_bit(bytes) && bytes >= slab_bytes_min && bytes <= ring_capacity_max);
}

Error not_a_segment(const std::string& why) {
  return make_error(Errc::protocol_violation, "segment offered by the peer: " + why);
}

Result<SegmentFacts> check_header(const SegmentHeader& header, std::size_t file_bytes) {
  // sync segment.magic: acquire; pairs with write_header(); shows the header
  if (header.magic.load(std::memory_order_acquire) != SegmentHeader::magic_value) {
    return not_a_segment("it does not begin with the magic of a segment");
  }
  const auto version = header.version.load(std::memory_order_relaxed);  // relaxed: after the magic
  const auto layout = header.layout.load(std::memory_order_relaxed);    // relaxed: after the magic
  if (version != SegmentHeader::version_value || layout != segment_layout_hash()) {
    return make_error(Errc::version_mismatch,
                      "segment offered by the peer has version " + std::to_string(version) +
                          " layout " + std::to_string(layout) + ", this program has version " +
                          std::to_string(SegmentHeader::version_value) + " layout " +
                          std::to_string(segment_layout_hash()) + "; build both from one release");
  }
  const auto total =
      header.total_bytes.load(std::memory_order_relaxed);  // relaxed: after the magic
  const auto offset =
      header.ring_offset.load(std::memory_order_relaxed);  // relaxed: after the magic
  const auto capacity =
      header.ring_capacity.load(std::memory_order_relaxed);              // relaxed: after the magic
  const auto epoch = header.epoch.load(std::memory_order_relaxed);       // relaxed: after the magic
  const auto slabs = header.slab_bytes.load(std::memory_order_relaxed);  // relaxed: after the magic
  const bool bare = capacity == 0 && offset == 0 && slabs == 0 && total == end_page_bytes;
  const bool ringed = offset == end_page_bytes && std::has_single_bit(capacity) &&
                      capacity >= ring_capacity_min && capacity <= ring_capacity_max &&
                      slabs_fit(slabs) && total == end_page_bytes + capacity + slabs;
  if (total != file_bytes || !(bare || ringed))
    return not_a_segment("its sizes do not fit together");
  if (epoch == 0 || epoch > 0xffff) return not_a_segment("its epoch is out of range");
  return SegmentFacts{
      .epoch = static_cast<std::uint16_t>(epoch),
      .base_index = header.base_index.load(std::memory_order_relaxed),  // relaxed: after the magic
      .ring_capacity = capacity,
      .slab_bytes = slabs,
      .membarrier =
          header.membarrier.load(std::memory_order_relaxed) == 1};  // relaxed: after the magic
}

}  // namespace

Result<Segment> Segment::create(const SegmentSpec& spec) {
  const bool ring_fits = spec.ring_capacity == 0 || (std::has_single_bit(spec.ring_capacity) &&
                                                     spec.ring_capacity >= ring_capacity_min &&
                                                     spec.ring_capacity <= ring_capacity_max);
  if (!ring_fits) {
    return make_error(Errc::invalid_argument, spec.name + ": capacity " +
                                                  std::to_string(spec.ring_capacity) +
                                                  " is not a power of two of 4 KiB to 1 TiB");
  }
  if (!slabs_fit(spec.slab_bytes) || (spec.slab_bytes != 0 && spec.ring_capacity == 0)) {
    return make_error(Errc::invalid_argument, spec.name + ": " + std::to_string(spec.slab_bytes) +
                                                  " bytes of slabs do not fit behind its ring");
  }
  if (spec.epoch == 0) return make_error(Errc::invalid_argument, spec.name + ": epochs begin at 1");
  const std::string name = ("bulkhead:" + spec.name).substr(0, 240);  // memfd_create(2): 249 bytes
  auto fd = base::make_memfd(name.c_str(), true);
  if (!fd) return fd.error();
  const std::size_t total = end_page_bytes + spec.ring_capacity + spec.slab_bytes;
  if (::ftruncate(fd->get(), static_cast<off_t>(total)) != 0) {
    return errno_error(errno, "give segment " + name + " its size of " + std::to_string(total));
  }
  auto region = base::MappedRegion::map(fd->get(), total, base::Access::read_write);
  if (!region) return region.error();
  // After this the one writable mapping that exists is ours (fcntl(2), F_SEAL_FUTURE_WRITE).
  if (::fcntl(fd->get(), F_ADD_SEALS, segment_seals) != 0)
    return errno_error(errno, "seal segment " + name);
  if (spec.survives_fork) keep_across_fork(*region);
  prefault(*region, true);
  const SegmentFacts facts{.epoch = spec.epoch,
                           .base_index = spec.base_index,
                           .ring_capacity = spec.ring_capacity,
                           .slab_bytes = spec.slab_bytes,
                           .membarrier = register_membarrier()};
  Segment segment(std::move(*fd), std::move(*region), facts);
  write_header(segment.page().header, spec, total, facts.membarrier);
  return segment;
}

Result<void> Segment::reserve_slabs(std::uint64_t offset, std::uint64_t bytes) const {
  const std::uint64_t from = end_page_bytes + facts_.ring_capacity + offset;
  // The seals forbid another size, not pages inside it (memfd_create(2), fallocate(2)).
  while (::fallocate(fd_.get(), 0, static_cast<off_t>(from), static_cast<off_t>(bytes)) != 0) {
    if (errno != EINTR) return errno_error(errno, "allocate memory of a segment");
  }
  // Maps them, too: a convenience, which may fail on kernels before 5.14.
  ::madvise(region_.data() + from, bytes, MADV_POPULATE_WRITE);
  return {};
}

Result<PeerSegment> Segment::attach_peer(base::UniqueFd fd, bool survives_fork) {
  const int found = ::fcntl(fd.get(), F_GET_SEALS);
  if (found < 0) return errno_error(errno, "segment offered by the peer: read its seals");
  if ((found & segment_seals) != segment_seals) return not_a_segment("it is not sealed");
  const auto size = base::file_size(fd.get());
  if (!size) return size.error();
  if (*size < end_page_bytes) return not_a_segment("it is smaller than a page");
  auto region = base::MappedRegion::map(fd.get(), *size, base::Access::read_only);
  if (!region) return region.error();
  const auto facts = check_header(reinterpret_cast<const EndPage*>(region->data())->header, *size);
  if (!facts) return facts.error();
  if (survives_fork) keep_across_fork(*region);
  prefault(*region, false);
  return PeerSegment(std::move(*region), *facts);
}

}  // namespace bulkhead::ipc
