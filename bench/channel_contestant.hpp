// Ours among the contestants of the latency benchmark.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <memory>

#include "bench/contestant.hpp"

namespace bulkhead::bench {

// Copied: from the caller's memory and into it. In place: written into a loan, read from the view; of
// each message the first and the last cache line are touched, as a user does at the least.
enum class Carry { copied, in_place };
Result<std::unique_ptr<Contestant>> start_channel(Processors, Transport, WaitMode,
                                                  std::size_t bytes, Carry);

// Options of a channel for messages of this size.
ChannelOptions options_for(std::size_t bytes, WaitMode);

}  // namespace bulkhead::bench
