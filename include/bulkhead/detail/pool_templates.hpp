// The templates of <bulkhead/pool.hpp>, which includes this file; include that one. How ranges become blocks with a
// ledger each; knows nothing of workers.
#pragma once

#include <bulkhead/pool.hpp>

#include <deque>
#include <iterator>
#include <ranges>

namespace bulkhead {
namespace detail {

// Blocks under way at a time: the next one fills the gap while the last items of one are being finished.
inline constexpr std::size_t blocks_ahead = 2;
inline void keep_failures(Mapped<void>& mapped, RangeOutcome& outcome, std::size_t begin) {
  for (auto& failure : outcome.failures) {
    failure.item += begin;
    mapped.failures.push_back(std::move(failure));
  }
}

// begin(first, count) of each block of `total` items, finish(first, count, state) in the same order.
template <class Begin, class Finish>
void in_blocks(std::size_t total, std::uint32_t block_items, const Begin& begin,
               const Finish& finish) {
  struct Block {
    std::size_t first;
    std::uint32_t count;
    std::shared_ptr<TaskState> state;
  };
  std::deque<Block> under_way;
  const auto finish_oldest = [&] {
    const Block block = std::move(under_way.front());
    under_way.pop_front();
    finish(block.first, block.count, block.state);
  };
  for (std::size_t first = 0; first < total;) {
    const auto count =
        static_cast<std::uint32_t>(std::min<std::size_t>(block_items, total - first));
    if (under_way.size() == blocks_ahead) finish_oldest();
    under_way.push_back({first, count, begin(first, count)});
    first += count;
  }
  while (!under_way.empty()) finish_oldest();
}

}  // namespace detail

template <class Loop, class F, class... Shared>
detail::RangeWork Pool::range_work(const TaskOptions& options, const F& function,
                                   const Shared&... shared) {
  detail::RangeWork work;
  work.function = detail::task_number<Loop>;
  detail::BodyWriter body;
  body.write(function);
  (body.write<std::decay_t<const Shared&>>(shared), ...);
  work.body = body.take_bytes();
  work.attachments = body.take_attachments();
  work.options = options;
  if constexpr (Loop::input_in_place) work.input_bytes = sizeof(typename Loop::Argument);
  if constexpr (Loop::output_in_place) work.output_bytes = sizeof(typename Loop::Output);
  return work;
}

template <class Items, class F, class... Shared>
auto Pool::map_with(const TaskOptions& options, const Items& items, F function,
                    const Shared&... shared) {
  using In = std::remove_cvref_t<decltype(*std::begin(items))>;
  check_callable<F>();
  using Loop = detail::RangeLoop<F, In, std::decay_t<const Shared&>...>;
  using Output = typename Loop::Output;
  static_assert(!std::is_void_v<Output>,
                "map() collects results; for_each() is for functions without");
  static_assert(std::default_initializable<Output>, "a failed item's result is Output{}");

  std::vector<In> copies;  // where the items do not lie one after the other
  std::span<const In> all;
  if constexpr (std::ranges::contiguous_range<Items>) {
    all = {std::ranges::data(items), std::ranges::size(items)};
  } else {
    copies.reserve(std::size(items));
    // Not assign(): a view's iterators are none of C++17.
    for (const auto& item : items) copies.push_back(item);
    all = copies;
  }
  Mapped<Output> mapped;
  mapped.values.resize(all.size());
  const auto begin = [&](std::size_t first, std::uint32_t count) {
    auto work = range_work<Loop>(options, function, shared...);
    work.items = count;
    detail::put_inputs<Loop>(work, all.subspan(first, count));
    if constexpr (!Loop::output_in_place) {
      work.on_result = [&mapped, first](std::uint32_t item,
                                        detail::BodyReader& from) -> Result<void> {
        auto value = from.read<Output>();
        if (!value) return value.error();
        mapped.values[first + item] = std::move(*value);
        return {};
      };
    }
    return begin_range(std::move(work));
  };
  const auto finish = [&](std::size_t first, std::uint32_t count, const auto& state) {
    auto outcome = finish_range(state);
    if constexpr (Loop::output_in_place) {
      for (std::size_t i = 0; i < count && outcome.outputs != nullptr; ++i) {
        mapped.values[first + i] = detail::output_at<Output>(outcome, i);
      }
    }
    for (auto& failure : outcome.failures) {
      failure.item += first;
      mapped.values[failure.item] = Output{};
      mapped.failures.push_back(std::move(failure));
    }
  };
  detail::in_blocks(all.size(), detail::range_items_max(detail::bytes_per_item<Loop>()), begin,
                    finish);
  return mapped;
}

template <class F, class... Shared>
Mapped<void> Pool::for_each_with(const TaskOptions& options, std::uint64_t begin, std::uint64_t end,
                                 F function, const Shared&... shared) {
  check_callable<F>();
  using Loop = detail::RangeLoop<F, detail::NoInput, std::decay_t<const Shared&>...>;
  static_assert(std::is_void_v<typename Loop::Output>,
                "for_each() has no place for results; map() collects them, reduce() combines them");
  Mapped<void> mapped;
  detail::in_blocks(
      end > begin ? end - begin : 0, detail::range_items_max(1),
      [&](std::size_t first, std::uint32_t count) {
        auto work = range_work<Loop>(options, function, shared...);
        work.base = begin + first;
        work.items = count;
        return begin_range(std::move(work));
      },
      [&](std::size_t first, std::uint32_t, const auto& state) {
        auto outcome = finish_range(state);
        detail::keep_failures(mapped, outcome, first);
      });
  return mapped;
}

template <class T, class F, class Combine, class... Shared>
Result<T> Pool::reduce(std::uint64_t begin, std::uint64_t end, T init, F function, Combine combine,
                       const Shared&... shared) {
  if (end <= begin) return init;
  // Pieces of equal length, many for each worker, so that uneven ones even out.
  constexpr std::uint64_t pieces_per_worker = 64;
  const std::uint64_t total = end - begin;
  const std::uint64_t pieces =
      std::min<std::uint64_t>(total, pieces_per_worker * std::max(stats().workers, 1U));
  struct Piece {
    std::uint64_t begin, end;
  };
  std::vector<Piece> ranges;
  for (std::uint64_t i = 0; i < pieces; ++i) {
    const auto at = [&](std::uint64_t k) {
      return begin + total / pieces * k + std::min(k, total % pieces);
    };
    ranges.push_back({at(i), at(i + 1)});
  }
  check_callable<F>();
  check_callable<Combine>();
  auto partial = map(
      ranges,
      [function, combine](const Piece& piece, Shared&... rest) mutable {
        T sum = function(piece.begin, rest...);
        for (std::uint64_t i = piece.begin + 1; i < piece.end; ++i) {
          sum = combine(std::move(sum), function(i, rest...));
        }
        return sum;
      },
      shared...);
  if (!partial.complete()) return partial.failures.front().failure.error;
  for (T& sum : partial.values) init = combine(std::move(init), std::move(sum));
  return init;
}

}  // namespace bulkhead

#include <bulkhead/detail/pool_stream.hpp>
