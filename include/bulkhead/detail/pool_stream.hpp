// Pool::map_unordered(): results come to the caller one by one, while items are still being taken from the range. Included
// by detail/pool_templates.hpp.
#pragma once

#include <bulkhead/detail/pool_templates.hpp>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace bulkhead {
namespace detail {

// Finer than the blocks of a map, since what is under way is held in memory.
inline constexpr std::uint32_t stream_block_items = 16384;

// A loop whose results are delivered one by one, whatever they are.
template <class F, class In>
struct StreamLoop : RangeLoop<F, In> {
  using Base = RangeLoop<F, In>;
  static constexpr bool output_in_place = false;
  static void run(RangeCall& with) { Base::template run_with<false>(with); }
  static TaskFunction function() { return {nullptr, &run, typeid(F).name()}; }
};

}  // namespace detail

template <class Items, class F, class Consume>
Mapped<void> Pool::map_unordered(Items&& items, F function, Consume consume,
                                 const TaskOptions& options) {
  using In = std::remove_cvref_t<decltype(*std::begin(items))>;
  check_callable<F>();
  using Loop = detail::StreamLoop<F, In>;
  using Output = typename Loop::Output;
  static_assert(!std::is_void_v<Output>,
                "map_unordered() hands on results; for_each() is for functions without");

  struct Arrivals {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::pair<std::size_t, Output>> results;
    std::size_t blocks_done = 0;
  };
  const auto arrivals = std::make_shared<Arrivals>();
  std::deque<std::pair<std::size_t, std::shared_ptr<detail::TaskState>>> under_way;
  Mapped<void> mapped;
  std::size_t blocks_finished = 0;
  // Consumes what has come; waits until there is something, or the oldest block is done.
  const auto consume_some = [&] {
    std::vector<std::pair<std::size_t, Output>> some;
    {
      std::unique_lock lock(arrivals->mutex);
      arrivals->changed.wait(lock, [&] {
        return !arrivals->results.empty() || arrivals->blocks_done > blocks_finished;
      });
      some.swap(arrivals->results);
    }
    for (auto& [index, result] : some) consume(index, std::move(result));
    while (!under_way.empty() && detail::is_ready(*under_way.front().second)) {
      auto outcome = finish_range(under_way.front().second);
      detail::keep_failures(mapped, outcome, under_way.front().first);
      under_way.pop_front();
      ++blocks_finished;
    }
  };
  const auto begin_block = [&](std::size_t first, const std::vector<In>& block) {
    auto work = range_work<Loop>(options, function);
    work.items = static_cast<std::uint32_t>(block.size());
    detail::put_inputs<Loop>(work, std::span<const In>(block));
    work.on_result = [arrivals, first](std::uint32_t item,
                                       detail::BodyReader& from) -> Result<void> {
      auto value = from.read<Output>();
      if (!value) return value.error();
      const std::lock_guard lock(arrivals->mutex);
      arrivals->results.emplace_back(first + item, std::move(*value));
      arrivals->changed.notify_one();
      return {};
    };
    const auto state = begin_range(std::move(work));
    under_way.emplace_back(first, state);
    detail::when_ready(*state, [arrivals] {
      const std::lock_guard lock(arrivals->mutex);
      ++arrivals->blocks_done;
      arrivals->changed.notify_one();
    });
  };
  // Where `consume` or the range throws: nobody else would take the outcomes of what is under way.
  struct FinishAll {
    Pool& pool;
    decltype(under_way)& blocks;
    ~FinishAll() {
      for (auto& [at, state] : blocks) (void)pool.finish_range(state);
    }
  } finish_all{*this, under_way};
  std::vector<In> block;
  std::size_t first = 0;
  const auto flush = [&] {
    if (block.empty()) return;
    while (under_way.size() >= detail::blocks_ahead) consume_some();
    begin_block(first, block);
    first += block.size();
    block.clear();
  };
  for (auto&& item : items) {
    block.push_back(item);
    if (block.size() == detail::stream_block_items) flush();
  }
  flush();
  while (!under_way.empty()) consume_some();
  std::vector<std::pair<std::size_t, Output>> rest;
  {
    const std::lock_guard lock(arrivals->mutex);
    rest.swap(arrivals->results);
  }
  for (auto& [index, result] : rest) consume(index, std::move(result));
  return mapped;
}

}  // namespace bulkhead
