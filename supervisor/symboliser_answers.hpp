// What bulkhead-symboliser answers, as JSON text. Used by its main() only.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <iosfwd>
#include <string>

namespace bulkhead::supervisor {

// To {"modules":[{"path","build_id","offsets":[…]}]}: {"modules":[{"error"} or {"places":[[{"function","file","line",
// "inlined"}]]}]}, in the same order. Throws json::exception for what is no such question.
std::string answer_with_places(std::istream& question);

// As thread_stacks.hpp says, or {"error"}.
std::string answer_with_threads(pid_t process, std::size_t bytes_max);

}  // namespace bulkhead::supervisor
