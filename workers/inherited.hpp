// What a worker finds in its environment when it starts. Used by Worker::run, first thing.
#pragma once

#include <bulkhead/error.hpp>
#include <cstdint>
#include <optional>

#include "base/fd.hpp"

namespace bulkhead::workers {

struct Inherited {
  base::UniqueFd control;
  std::uint32_t generation = 0;
};

// Takes the control socket out of the environment: it is close-on-exec and unnamed afterwards, so that
// no program that this worker starts can speak in its name.
// nullopt when there is no supervisor. Errors: invalid_argument for a variable that names no
// socket or no number.
[[nodiscard]] Result<std::optional<Inherited>> take_inherited();

}  // namespace bulkhead::workers
