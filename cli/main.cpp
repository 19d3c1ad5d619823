// The command `bulkhead`.
#include <exception>

#include "cli/command_line.hpp"
#include "cli/outcome.hpp"

int main(int argc, char** argv) {
  try {
    return bulkhead::cli::run_command_line(argc, argv);
  } catch (const std::exception& error) {
    return static_cast<int>(bulkhead::cli::complain(bulkhead::cli::Outcome::failed, error.what()));
  }
}
