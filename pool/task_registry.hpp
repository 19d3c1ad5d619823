// The functions that this program can be asked to run, by number. Filled before main by task_number<>.
#pragma once

#include <bulkhead/detail/task_function.hpp>

namespace bulkhead::pool {

std::uint32_t registered_tasks() noexcept;
// nullptr: there is no such task.
const detail::TaskFunction* find_task(std::uint32_t number) noexcept;

}  // namespace bulkhead::pool
