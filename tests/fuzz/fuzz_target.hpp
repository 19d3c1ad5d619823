// What each fuzz target of this folder defines: one run over bytes that nobody checked. It returns when the
// code under test took or refused them, and aborts when a promise broke. Linked with libFuzzer (preset
// fuzz), or with replay.cpp, which is how ctest runs the corpora.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <bulkhead/error.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace bulkhead::test {

inline std::span<const std::byte> input_bytes(const std::uint8_t* data, std::size_t size) noexcept {
  return {reinterpret_cast<const std::byte*>(data), size};
}

}  // namespace bulkhead::test
