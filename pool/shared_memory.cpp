#include "pool/shared_memory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace bulkhead::detail {

std::uint64_t next_attachment_number() noexcept {
  static std::atomic<std::uint64_t> last{0};
  // relaxed: only unique.
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

Result<std::shared_ptr<SharedMemory>> SharedMemory::open(std::uint64_t number, base::UniqueFd fd,
                                                         bool writable) {
  const auto size = base::file_size(fd.get());
  if (!size) return size.error();
  auto region = base::MappedRegion::map(
      fd.get(), *size, writable ? base::Access::read_write : base::Access::read_only);
  if (!region) return region.error();
  return std::make_shared<SharedMemory>(number, std::move(fd), std::move(*region));
}

Result<std::shared_ptr<SharedMemory>> make_shared_memory(std::string_view name, std::size_t bytes) {
  auto fd = base::make_memfd(std::string(name).c_str(), true);
  if (!fd) return fd.error();
  const std::string what = "allocate " + std::to_string(bytes) + " bytes for " + std::string(name);
  if (const int failed = ::posix_fallocate(fd->get(), 0, static_cast<off_t>(bytes)); failed != 0) {
    return errno_error(failed, what);
  }
  if (::fcntl(fd->get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return errno_error(errno, what);
  }
  return SharedMemory::open(next_attachment_number(), std::move(*fd), true);
}

std::span<std::byte> bytes_of(const SharedMemory& memory) noexcept { return memory.bytes(); }

Attachment attachment_of(const std::shared_ptr<SharedMemory>& memory) {
  return {memory->number(), memory->fd(), memory};
}

void write_shared(BodyWriter& to, const std::shared_ptr<SharedMemory>& memory) {
  to.write(memory->number());
  to.attach(attachment_of(memory));
}

// Mapped once in each process, once more where it is also wanted in the other way.
Result<std::shared_ptr<SharedMemory>> read_shared(BodyReader& from, std::size_t bytes,
                                                  bool writable) {
  const auto number = from.read<std::uint64_t>();
  if (!number) return number.error();
  if (from.source() == nullptr) return body_too_short();
  auto& kept = from.source()->kept(*number, writable);
  if (kept == nullptr) {
    const auto fd = from.source()->take(*number);
    if (!fd) return fd.error();
    auto memory = SharedMemory::open(*number, base::UniqueFd(*fd), writable);
    if (!memory) return memory.error();
    kept = std::move(*memory);
  }
  auto memory = std::static_pointer_cast<SharedMemory>(kept);
  if (memory->bytes().size() < bytes) return body_too_short();
  return memory;
}

void Body<SealedBuffer>::write(BodyWriter& to, const SealedBuffer& buffer) {
  const std::uint64_t number = next_attachment_number();
  to.write(number);
  to.attach({number, buffer.fd(), std::make_shared<SealedBuffer>(buffer)});
}

Result<SealedBuffer> Body<SealedBuffer>::read(BodyReader& from) {
  const auto number = from.read<std::uint64_t>();
  if (!number) return number.error();
  if (from.source() == nullptr) return body_too_short();
  const auto fd = from.source()->take(*number);
  if (!fd) return fd.error();
  const base::UniqueFd owned(*fd);
  return SealedBuffer::open(owned.get());
}

}  // namespace bulkhead::detail
