// What carries messages one way, as fast as it can, between processes that are all awake unless said otherwise:
// lanes alone and several at once, and a bare ring to hold them against. Used by the throughput benchmark and by
// others/.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "bench/contestant.hpp"

namespace bulkhead::bench {

// Owns the processes at the other ends.
class Stream {
 public:
  virtual ~Stream() = default;
  // Deliveries per second, from the first message to the last receiver's word that it has the last one.
  // Errors: peer_died.
  virtual Result<double> run(std::uint64_t count) = 0;
};

using StartedStream = Result<std::unique_ptr<Stream>>;

inline constexpr std::size_t batch_messages = 16;
inline constexpr std::size_t fan_ends = 4;

StartedStream start_lane(std::size_t size, Processors);
// One channel over any transport; its ends wait as told.
StartedStream start_channel_stream(Transport, WaitMode, std::size_t size, Processors);
StartedStream start_batches(std::size_t size,
                            Processors);                 // the same lane, batch_messages a commit
StartedStream start_ring(std::size_t size, Processors);  // bare, of fixed slots
// A topic whose publisher waits for each of fan_ends subscribers; and fan_ends channels to one receiver.
// More processes than processors: they wait as programs do by default.
StartedStream start_fan_out(std::size_t size, Processors);
StartedStream start_fan_in(std::size_t size, Processors);

}  // namespace bulkhead::bench
