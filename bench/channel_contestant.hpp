// Ours among the contestants of the latency benchmark.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/error.hpp>
#include <cstddef>
#include <memory>

#include "bench/contestant.hpp"

namespace bulkhead::bench {

Result<std::unique_ptr<Contestant>> start_channel(Processors, Transport, WaitMode,
                                                  std::size_t bytes);

}  // namespace bulkhead::bench
