// What is to happen in a simulation, read from a line of text: "echo.1 crashes every 2s for 1m; stop". Used
// by the command `simulate`; knows nothing of how it is played.
#pragma once

#include <bulkhead/error.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/core_state.hpp"

namespace bulkhead::supervisor {

// One statement, for each of the instances that it names.
struct ScriptAct {
  enum class What : std::uint8_t {
    ends,   // by exit code or signal
    hangs,  // beats no more, hears nothing
    up,     // start, stop and restart as by the operator
    down,
    restart,
    shutdown
  };
  What what = What::ends;
  std::vector<Slot> slots;
  ExitKind how = ExitKind::exit;  // ends
  int code = 0;                   // ends: exit code or signal
  std::string words;              // as written

  enum class When : std::uint8_t { at, every, after_start };
  When when = When::at;
  Duration time{};   // at: of the script; every: the period; after_start: of each incarnation
  Duration until{};  // every: the last moment
};

struct Script {
  std::vector<ScriptAct> acts;
  std::vector<Duration> takes;  // by slot: how long a run of a oneshot or scheduled one takes
  std::vector<bool> is_deaf;    // by slot: ignores stops
  Duration last{};              // the last moment that it speaks of
};

// Errors: invalid_argument, whose context names the word that is wrong and shows what is expected.
Result<Script> read_script(const Plan&, std::string_view text);

// Of all that may be written; for --help and messages.
inline constexpr std::string_view script_grammar =
    "NAME crashes|exits CODE|dies of SIGNAL|runs out of memory|hangs [at D | every D [for D] | "
    "after D], "
    "stop|start|restart|kill NAME [at D], stop [at D], NAME takes D, NAME ignores stop";

}  // namespace bulkhead::supervisor
