// Turns the frames of crash reports into functions, files and lines, with the help of bulkhead-symboliser. Used by
// `incidents`.
#pragma once

#include <nlohmann/json.hpp>

namespace bulkhead::cli {

// Gives each incident's report its "backtrace", and each of its threads one, and takes away the frames that these are
// made of. Of a worker that hung it is that of the thread which shows it. Frames of a file that is another one by now
// get a "problem" instead of names; so do all when the symboliser fails.
void name_frames(nlohmann::json& incidents);

}  // namespace bulkhead::cli
