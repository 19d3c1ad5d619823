// The bare ring that throughput is compared with: fixed slots, one producer, one consumer, nothing checked,
// counted or recoverable, nobody ever sleeps. Used by throughput.cpp.
//
// | tag       | writer       | reader       | visible after it     | killed in between  |
// |-----------|--------------|--------------|----------------------|--------------------|
// | spsc.slot | SpscRing::put| SpscRing::get| the slot's bytes     | the benchmark ends |
// | spsc.tail | SpscRing::get| SpscRing::put| that a slot was read | the benchmark ends |
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ipc/segment_layout.hpp"
#include "ipc/wake.hpp"

namespace bulkhead::bench {

class SpscRing {
 public:
  static constexpr std::uint64_t slots = 1024;

  // In zeroed memory that both processes share.
  static std::size_t bytes_for(std::size_t message) noexcept {
    return sizeof(Words) + slots * stride_for(message);
  }
  SpscRing(std::byte* memory, std::size_t message) noexcept
      : words_(reinterpret_cast<Words*>(memory)),
        slots_(memory + sizeof(Words)),
        message_(message),
        stride_(stride_for(message)) {}

  void put(const std::byte* from) noexcept {
    while (turn_ - seen_ >= slots) {
      // sync spsc.tail: acquire; pairs with get(); a slot may be overwritten once it was read
      seen_ = words_->read.load(std::memory_order_acquire);
      if (turn_ - seen_ >= slots) ipc::cpu_pause();
    }
    std::byte* const slot = slot_at(turn_);
    std::memcpy(slot + sizeof(std::uint64_t), from, message_);
    // sync spsc.slot: release; pairs with get(); publishes the slot's bytes
    sequence(slot).store(++turn_, std::memory_order_release);
  }
  void get(std::byte* to) noexcept {
    std::byte* const slot = slot_at(turn_);
    // sync spsc.slot: acquire; pairs with put(); shows the slot's bytes
    while (sequence(slot).load(std::memory_order_acquire) != turn_ + 1) ipc::cpu_pause();
    std::memcpy(to, slot + sizeof(std::uint64_t), message_);
    // sync spsc.tail: release; pairs with put(); the slot may be overwritten
    words_->read.store(++turn_, std::memory_order_release);
  }

 private:
  struct alignas(ipc::line_stride) Words {
    std::atomic<std::uint64_t> read;
  };
  static std::size_t stride_for(std::size_t message) noexcept {
    return (message + sizeof(std::uint64_t) + ipc::cache_line - 1) & ~(ipc::cache_line - 1);
  }
  std::byte* slot_at(std::uint64_t turn) const noexcept { return slots_ + turn % slots * stride_; }
  static std::atomic<std::uint64_t>& sequence(std::byte* slot) noexcept {
    return *reinterpret_cast<std::atomic<std::uint64_t>*>(slot);
  }

  Words* words_;
  std::byte* slots_;
  std::size_t message_, stride_;
  std::uint64_t turn_ = 0;  // of this end
  std::uint64_t seen_ = 0;  // of the reader, as the writer last saw it
};

}  // namespace bulkhead::bench
