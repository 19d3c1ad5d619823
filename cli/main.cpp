// The command `bulkhead`.
#include <bulkhead/pool.hpp>
#include <exception>

#include "cli/command_line.hpp"
#include "cli/outcome.hpp"

int main(int argc, char** argv) {
  bulkhead::Pool::entry(argc, argv);  // workers of its own pools begin here, too
  try {
    return bulkhead::cli::run_command_line(argc, argv);
  } catch (const std::exception& error) {
    return static_cast<int>(bulkhead::cli::complain(bulkhead::cli::Outcome::failed, error.what()));
  }
}
