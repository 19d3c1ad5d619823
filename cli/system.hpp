// Reaches the system that a command is about, and says where this program lies. Used by every command.
#pragma once

#include <bulkhead/connection.hpp>
#include <string>

#include "cli/commands.hpp"

namespace bulkhead::cli {

// By --control, by --name, or the only one that is running. Errors: those of bulkhead::connect.
Result<Connection> reach(const SystemChoice&);

// How long an answer may take that needs no worker to do anything. A brain that hangs is replaced
// after 2 s and the request repeated, so this is longer.
inline constexpr std::chrono::seconds answer_timeout{10};

// All incidents from number `since` on that are kept, as the supervisor renders them.
Result<nlohmann::json> all_incidents(Connection&, std::uint64_t since = 0);

// Of the program that runs now, found through /proc: argv[0] may be relative or gone.
std::string program_path();
std::string program_directory();

}  // namespace bulkhead::cli
