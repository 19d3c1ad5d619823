# Writes OUTPUT, the source that says which commit this is; leaves it alone when it says so already.
# Run as a script at each build, with SOURCE_DIR, OUTPUT.
execute_process(COMMAND git describe --always --dirty --abbrev=12 --exclude=* WORKING_DIRECTORY ${SOURCE_DIR}
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT [[
#include "cli/commit.hpp"

std::string bulkhead::cli::commit() { return "@commit@"; }
]] @ONLY)
