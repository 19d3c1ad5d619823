// A block of a range as the templates of <bulkhead/pool.hpp> hand it to the pool, and what comes back.
#pragma once

#include <bulkhead/pool_options.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace bulkhead {

namespace detail {

struct RangeWork {
  std::uint32_t function = 0;
  Bytes body;  // callable and shared arguments
  std::vector<Attachment> attachments;
  TaskOptions options;
  std::uint64_t base = 0;
  std::uint32_t items = 0;
  std::size_t input_bytes = 0, output_bytes = 0;  // in place, of each item
  // Else all inputs, encoded one after the other, and where each begins, and the end.
  Bytes inputs;
  std::vector<std::uint64_t> input_ends;
  std::vector<Attachment> input_attachments;
  const std::byte* plain_inputs = nullptr;
  // Called on a thread of the pool or of who waits for it, of one item at a time. Its Error is the item's failure.
  std::function<Result<void>(std::uint32_t, BodyReader&)> on_result;
};
struct RangeOutcome {
  std::vector<ItemFailure> failures;
  std::shared_ptr<const void> memory;  // of `outputs`
  const std::byte* outputs = nullptr;
};
// Items of one ledger; what has more is run in several.
std::uint32_t range_items_max(std::size_t bytes_per_item) noexcept;

template <class Loop>
constexpr std::size_t bytes_per_item() noexcept {
  std::size_t bytes = 1;
  if constexpr (Loop::input_in_place) bytes += sizeof(typename Loop::Argument);
  if constexpr (Loop::output_in_place) bytes += sizeof(typename Loop::Output);
  return bytes;
}

// The inputs of a block, as the loop wants to find them.
template <class Loop, class In>
void put_inputs(RangeWork& work, std::span<const In> items) {
  if constexpr (Loop::input_in_place) {
    work.plain_inputs = reinterpret_cast<const std::byte*>(items.data());
  } else {
    BodyWriter writer;
    for (const In& item : items) {
      work.input_ends.push_back(writer.bytes().size());
      writer.write(item);
    }
    work.input_ends.push_back(writer.bytes().size());
    work.inputs = writer.take_bytes();
    work.input_attachments = writer.take_attachments();
  }
}

template <class Output>
Output output_at(const RangeOutcome& outcome, std::size_t item) {
  BodyReader from({outcome.outputs + item * sizeof(Output), sizeof(Output)});
  return *from.read<Output>();
}

}  // namespace detail

}  // namespace bulkhead
