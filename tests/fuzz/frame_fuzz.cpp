// The frame readers: the input is what came through a connection, as a stream and as packets.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ipc/frame_reader.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace bulkhead::test {
namespace {

// Gives the input in pieces whose lengths are in the input, too.
class InputWire final : public ipc::Wire {
 public:
  InputWire(std::span<const std::byte> input, bool packets) : input_(input), packets_(packets) {}

  bool keeps_packets() const noexcept override { return packets_; }
  ipc::IoStatus read(std::span<iovec> parts) noexcept override {
    if (input_.empty()) return {};
    const std::size_t piece =
        std::min(input_.size(), 1 + 37 * static_cast<std::size_t>(input_.front()));
    std::size_t given = 0;
    for (const iovec& part : parts) {
      const std::size_t bytes = std::min(part.iov_len, piece - given);
      if (bytes > 0) std::memcpy(part.iov_base, input_.data() + given, bytes);
      given += bytes;
    }
    const bool truncated = packets_ && given < piece;
    input_ = input_.subspan(packets_ ? piece : given);
    return {given, 0, truncated};
  }
  ipc::IoStatus write(std::span<iovec>) noexcept override { return {0, EAGAIN, false}; }
  int read_fd() const noexcept override { return -1; }
  int write_fd() const noexcept override { return -1; }
  bool hung_up() const noexcept override { return false; }
  void make_room(std::size_t) noexcept override {}
  std::chrono::milliseconds settle_time() const noexcept override { return {}; }

 private:
  std::span<const std::byte> input_;
  const bool packets_;
};

void read_all(std::span<const std::byte> input, bool packets, bool gaps) {
  constexpr std::size_t max_message = 1000;
  InputWire wire(input, packets);
  ipc::BufferPool pool;
  const auto reader = ipc::make_frame_reader(wire, {max_message, 1, 0, gaps}, pool);
  ipc::Incoming message;
  for (;;) {
    const auto status = reader->next(wire, message);
    if (status != ipc::ReadStatus::message) return;
    BULKHEAD_ASSERT(message.bytes <= max_message && message.bytes <= message.buffer.capacity);
    pool.put(std::move(message.buffer));
  }
}

}  // namespace
}  // namespace bulkhead::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = bulkhead::test::input_bytes(data, size);
  for (const bool gaps : {false, true}) {
    bulkhead::test::read_all(input, false, gaps);
    bulkhead::test::read_all(input, true, gaps);
  }
  return 0;
}
