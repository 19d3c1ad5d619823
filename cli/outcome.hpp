// How a command ends: the exit codes, and the one line on stderr that goes with a failure. Used by
// every command.
#pragma once

#include <bulkhead/error.hpp>
#include <string>
#include <string_view>

namespace bulkhead::cli {

enum class Outcome : int {
  done = 0,
  failed = 1,
  usage = 2,
  no_system = 69,      // EX_UNAVAILABLE
  not_permitted = 77,  // EX_NOPERM
  bad_config = 78,     // EX_CONFIG
};

Outcome outcome_of(const Error&) noexcept;
std::string sentence_of(const Error&);

// Prints "bulkhead: SENTENCE" as one line, whatever the sentence holds, and returns the outcome.
Outcome complain(Outcome, std::string_view sentence);
Outcome complain(const Error&);

// First act of main: a closed stdin, stdout or stderr would give its number to the next descriptor that we
// open, and what we print would go there. Not inherited by what we exec.
void reserve_standard_streams() noexcept;

// Last act of main: writes out what was printed. A reader that went away is no failure (`| head -1`);
// anything else that cannot be written is one, and said so.
Outcome finish_output(Outcome);

}  // namespace bulkhead::cli
