// The system calls that a strict sandbox permits, by group, with the reason for each group. Used by the filter that is
// made of them and held against docs/design/sandbox.md by a test; knows nothing of filters.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bulkhead::supervisor {

struct CallGroup {
  std::string_view name;
  std::span<const std::string_view> calls;
};

// Permitted whatever the arguments. A call that a machine does not have is none of its calls.
std::span<const CallGroup> permitted_calls() noexcept;

// Permitted with some arguments only: sandbox_filter.cpp says with which.
std::span<const std::string_view> restricted_calls() noexcept;

// Answered with an error, because libraries try them and do without. All others are the end of the worker, by SIGSYS.
struct AnsweredCall {
  std::string_view name;
  int error_number;
};
std::span<const AnsweredCall> answered_calls() noexcept;

// "execve"; "system call 999" where it has no name here.
std::string name_of_call(std::uint64_t number);

}  // namespace bulkhead::supervisor
