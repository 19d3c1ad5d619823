// Reads argv and carries out what it asks for. Used by main; the only file that knows CLI11.
#pragma once

namespace bulkhead::cli {

// The process's exit code.
int run_command_line(int argc, char** argv);

}  // namespace bulkhead::cli
