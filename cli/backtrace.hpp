// Turns the frames of crash reports into functions, files and lines, with the help of bulkhead-symboliser. Used by
// `incidents`.
#pragma once

#include <nlohmann/json.hpp>

namespace bulkhead::cli {

// Gives each incident's report its "backtrace", and takes the frames that it is made of out of "crash". Frames of a
// file that is another one by now get a "problem" instead of names; so do all when the symboliser fails.
void name_frames(nlohmann::json& incidents);

}  // namespace bulkhead::cli
