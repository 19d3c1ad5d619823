#include "ipc/sealed_memory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace bulkhead {
namespace ipc {
namespace {

constexpr int buffer_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

Result<SealedBuffer> map_sealed(base::UniqueFd fd, std::size_t bytes) {
  auto region = base::MappedRegion::map(fd.get(), bytes, base::Access::sealed);
  if (!region) return region.error();
  return SealedBuffer(std::make_shared<const SealedMemory>(std::move(fd), std::move(*region)));
}

}  // namespace

Result<std::size_t> check_sealed(int fd) {
  const int found = ::fcntl(fd, F_GET_SEALS);
  if (found < 0 || (found & buffer_seals) != buffer_seals) {
    return make_error(Errc::protocol_violation,
                      "descriptor " + std::to_string(fd) +
                          " is no sealed memory: whoever made it could still change it");
  }
  const auto size = base::file_size(fd);
  if (size && *size == 0) {
    return make_error(Errc::protocol_violation, "sealed memory of no size");
  }
  return size;
}

}  // namespace ipc

SealedBuffer::SealedBuffer(std::shared_ptr<const ipc::SealedMemory> memory) noexcept
    : memory_(std::move(memory)) {}

Result<SealedBuffer> SealedBuffer::copy_of(std::string_view name,
                                           std::span<const std::byte> bytes) {
  auto draft = SealedDraft::create(name, bytes.size());
  if (!draft) return draft.error();
  std::memcpy(draft->bytes().data(), bytes.data(), bytes.size());
  return std::move(*draft).seal(bytes.size());
}

Result<SealedBuffer> SealedBuffer::open(int fd) {
  const auto bytes = ipc::check_sealed(fd);
  if (!bytes) return bytes.error();
  auto own = base::duplicate(fd);
  if (!own) return own.error();
  return ipc::map_sealed(std::move(*own), *bytes);
}

std::span<const std::byte> SealedBuffer::bytes() const noexcept {
  if (!memory_) return {};
  return memory_->bytes();
}
int SealedBuffer::fd() const noexcept { return memory_ ? memory_->fd() : -1; }

SealedDraft::SealedDraft(std::unique_ptr<ipc::DraftMemory> memory) noexcept
    : memory_(std::move(memory)) {}
SealedDraft::SealedDraft(SealedDraft&&) noexcept = default;
SealedDraft& SealedDraft::operator=(SealedDraft&&) noexcept = default;
SealedDraft::~SealedDraft() = default;

Result<SealedDraft> SealedDraft::create(std::string_view name, std::size_t bytes) {
  if (bytes == 0) {
    return make_error(Errc::invalid_argument, std::string(name) + ": sealed memory of no bytes");
  }
  const auto shown =
      ("bulkhead:sealed:" + std::string(name)).substr(0, 240);  // memfd_create(2): 249 bytes
  auto fd = base::make_memfd(shown.c_str(), true);
  if (!fd) return fd.error();
  if (::ftruncate(fd->get(), static_cast<off_t>(bytes)) != 0) {
    return errno_error(errno, "give " + shown + " its size of " + std::to_string(bytes));
  }
  auto region = base::MappedRegion::map(fd->get(), bytes, base::Access::read_write);
  if (!region) return region.error();
  return SealedDraft(
      std::make_unique<ipc::DraftMemory>(ipc::DraftMemory{std::move(*fd), std::move(*region)}));
}

std::span<std::byte> SealedDraft::bytes() noexcept {
  if (!memory_) return {};
  return {memory_->region.data(), memory_->region.size()};
}

Result<SealedBuffer> SealedDraft::seal(std::size_t bytes) && {
  if (!memory_) return make_error(Errc::invalid_argument, "this draft was sealed before");
  const std::size_t all = memory_->region.size();
  if (bytes == 0 || bytes > all) {
    return make_error(Errc::invalid_argument,
                      "seal " + std::to_string(bytes) + " of " + std::to_string(all) + " bytes");
  }
  const auto memory = std::move(memory_);
  memory->region = {};  // the only writable mapping: the kernel refuses the seal before
  if (::ftruncate(memory->fd.get(), static_cast<off_t>(bytes)) != 0) {
    return errno_error(errno, "shorten a draft to " + std::to_string(bytes) + " bytes");
  }
  if (::fcntl(memory->fd.get(), F_ADD_SEALS, ipc::buffer_seals) != 0) {
    return errno_error(errno, "seal a draft");
  }
  return ipc::map_sealed(std::move(memory->fd), bytes);
}

}  // namespace bulkhead
