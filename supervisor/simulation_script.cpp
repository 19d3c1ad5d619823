#include "supervisor/simulation_script.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>

#include "base/nearest.hpp"
#include "base/units.hpp"
#include "supervisor/exit_json.hpp"
#include "supervisor/json_source.hpp"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
using json_source::in_quotes;
using Words = std::vector<std::string>;

constexpr Duration moment_after = 1s;   // where no time is said: so long after what was said before
constexpr Duration usual_length = 60s;  // of an "every" without "for"
constexpr Duration usual_run = 1s;
constexpr std::uint64_t strikes_max = 1'000'000;

Error wrong(const std::string& what) {
  return make_error(Errc::invalid_argument, "script: " + what +
                                                "; a script is: " + std::string(script_grammar) +
                                                ", joined by ; or newlines");
}

std::vector<Words> statements(std::string_view text) {
  std::vector<Words> all(1);
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) all.back().push_back(std::exchange(word, {}));
  };
  for (const char c : text) {
    if (c == ';' || c == '\n') {
      end_word();
      all.emplace_back();
    } else if (c == ' ' || c == '\t' || c == '\r') {
      end_word();
    } else {
      word += c;
    }
  }
  end_word();
  std::erase_if(all, [](const Words& words) { return words.empty(); });
  return all;
}

class Reader {
 public:
  Reader(const Plan& plan, Script& script) : plan_(plan), script_(script) {}

  Result<void> statement(const Words& words);

 private:
  bool at_end() const { return at_ == words_->size(); }
  const std::string* next() { return at_end() ? nullptr : &(*words_)[at_++]; }
  bool take(std::string_view word);
  Result<std::vector<Slot>> name();
  Result<Duration> duration(const std::string& after);
  Result<int> exit_code();
  Result<int> signal();
  Result<void> order(ScriptAct&, const std::string& verb);
  Result<void> deed(const std::vector<Slot>&);
  Result<void> play(ScriptAct);
  Result<void> when(ScriptAct&);

  const Plan& plan_;
  Script& script_;
  const Words* words_ = nullptr;
  std::size_t at_ = 0;
};

bool Reader::take(std::string_view word) {
  if (at_end() || (*words_)[at_] != word) return false;
  ++at_;
  return true;
}

Result<std::vector<Slot>> Reader::name() {
  const std::string* word = next();
  if (word == nullptr)
    return wrong("a worker's name is missing at the end of " + in_quotes(words_->back()));
  std::vector<Slot> slots;
  std::vector<std::string_view> known;
  for (Slot slot = 0; slot < plan_.instances.size(); ++slot) {
    const InstancePlan& instance = plan_.instances[slot];
    if (instance.name == *word || instance.worker == *word) slots.push_back(slot);
    known.push_back(instance.name);
    known.push_back(instance.worker);
  }
  if (!slots.empty()) return slots;
  for (const char* verb : {"stop", "start", "restart", "kill"}) known.push_back(verb);
  const auto near = base::nearest(*word, known);
  return wrong(in_quotes(*word) + " is no worker or instance of this config" +
               (near ? " (did you mean " + in_quotes(*near) + "?)" : std::string()));
}

Result<Duration> Reader::duration(const std::string& after) {
  const std::string* word = next();
  if (word == nullptr) return wrong("a duration is missing after " + in_quotes(after));
  const auto parsed = base::parse_duration(*word);
  if (!parsed) return wrong(parsed.error().context);
  return *parsed;
}

Result<int> Reader::exit_code() {
  const std::string* word = next();
  if (word == nullptr) return wrong("an exit code is missing after \"exits\"");
  int code = -1;
  const char* end = word->data() + word->size();
  const auto [stopped, error] = std::from_chars(word->data(), end, code);
  if (error != std::errc{} || stopped != end || code < 0 || code > 255) {
    return wrong(in_quotes(*word) + " is no exit code (expected 0 to 255)");
  }
  return code;
}

Result<int> Reader::signal() {
  const std::string* word = next();
  if (word == nullptr) return wrong("a signal is missing at the end");
  for (int number = 1; number < 32; ++number) {
    if (signal_name(number) != *word) continue;
    static constexpr int harmless[] = {SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP,
                                       SIGTTIN, SIGTTOU, SIGURG,  SIGWINCH};
    if (std::find(std::begin(harmless), std::end(harmless), number) == std::end(harmless)) {
      return number;
    }
    return wrong(in_quotes(*word) + " ends no process (expected one such as SIGKILL)");
  }
  return wrong(in_quotes(*word) + " is no signal (expected one such as SIGKILL)");
}

Result<void> Reader::statement(const Words& words) {
  words_ = &words;
  at_ = 0;
  ScriptAct act;
  const std::string first = words.front();
  for (const char* verb : {"stop", "start", "restart", "kill"}) {
    if (first != verb) continue;
    ++at_;
    if (const auto understood = order(act, first); !understood) return understood.error();
    return play(std::move(act));
  }
  const auto slots = name();
  if (!slots) return slots.error();
  return deed(*slots);
}

Result<void> Reader::order(ScriptAct& act, const std::string& verb) {
  act.words = verb;
  const bool all = verb == "stop" && (at_end() || (*words_)[at_] == "at");
  if (all) {
    act.what = ScriptAct::What::shutdown;
    return {};
  }
  auto slots = name();
  if (!slots) return slots.error();
  act.slots = std::move(*slots);
  act.what = verb == "stop"      ? ScriptAct::What::down
             : verb == "start"   ? ScriptAct::What::up
             : verb == "restart" ? ScriptAct::What::restart
                                 : ScriptAct::What::ends;
  if (act.what != ScriptAct::What::ends) return {};
  act.how = ExitKind::signal;
  act.code = SIGKILL;
  const bool names_signal = !at_end() && (*words_)[at_].starts_with("SIG");
  if (!names_signal) return {};
  const auto number = signal();
  if (!number) return number.error();
  act.code = *number;
  return {};
}

Result<void> Reader::deed(const std::vector<Slot>& slots) {
  const std::string* verb = next();
  if (verb == nullptr) return wrong("it is not said what " + in_quotes(words_->front()) + " does");
  ScriptAct act;
  act.slots = slots;
  act.words = *verb;
  if (*verb == "takes") {
    const auto time = duration(*verb);
    if (!time) return time.error();
    for (const Slot slot : slots) script_.takes[slot] = *time;
    return at_end() ? Result<void>() : wrong(in_quotes(*next()) + " after a duration");
  }
  if (*verb == "ignores") {
    if (!take("stop") || !at_end()) return wrong("after \"ignores\" only \"stop\" is understood");
    for (const Slot slot : slots) script_.is_deaf[slot] = true;
    return {};
  }
  if (*verb == "crashes") {
    act.how = ExitKind::signal;
    act.code = SIGSEGV;
  } else if (*verb == "exits") {
    const auto code = exit_code();
    if (!code) return code.error();
    act.code = *code;
    act.words += " " + std::to_string(*code);
  } else if (*verb == "dies") {
    if (!take("of")) return wrong("after \"dies\" comes \"of\" and a signal");
    const auto number = signal();
    if (!number) return number.error();
    act.how = ExitKind::signal;
    act.code = *number;
    act.words += " of " + std::string(signal_name(*number));
  } else if (*verb == "runs") {
    if (!take("out") || !take("of") || !take("memory")) {
      return wrong("after \"runs\" comes \"out of memory\"");
    }
    act.how = ExitKind::oom;
    act.code = SIGKILL;
    act.words += " out of memory";
  } else if (*verb == "hangs") {
    act.what = ScriptAct::What::hangs;
  } else {
    const auto near =
        base::nearest(*verb, {"crashes", "exits", "dies", "runs", "hangs", "takes", "ignores"});
    return wrong(in_quotes(*verb) + " is nothing that a worker can do" +
                 (near ? " (did you mean " + in_quotes(*near) + "?)" : std::string()));
  }
  return play(std::move(act));
}

Result<void> Reader::when(ScriptAct& act) {
  if (at_end()) {
    act.time = script_.last + moment_after;
    return {};
  }
  const std::string word = *next();
  act.when = word == "every"   ? ScriptAct::When::every
             : word == "after" ? ScriptAct::When::after_start
                               : ScriptAct::When::at;
  if (word != "at" && word != "every" && word != "after") {
    const auto near = base::nearest(word, {"at", "every", "after"});
    return wrong(in_quotes(word) + " is no time" +
                 (near ? " (did you mean " + in_quotes(*near) + "?)" : std::string()));
  }
  const bool of_start = act.when == ScriptAct::When::after_start;
  if (of_start && act.what == ScriptAct::What::shutdown) {
    return wrong("\"after\" speaks of the start of a worker, and \"stop\" of none");
  }
  const auto time = duration(word);
  if (!time) return time.error();
  act.time = *time;
  if (act.when != ScriptAct::When::every) return {};
  act.until = usual_length;
  if (take("for")) {
    const auto length = duration("for");
    if (!length) return length.error();
    act.until = *length;
  }
  if (act.time <= 0ns) return wrong("\"every\" needs a time that passes, such as \"every 2s\"");
  if (static_cast<std::uint64_t>(act.until / act.time) > strikes_max) {
    return wrong("\"every\" so often is more than " + std::to_string(strikes_max) + " times");
  }
  return {};
}

Result<void> Reader::play(ScriptAct act) {
  if (const auto understood = when(act); !understood) return understood.error();
  if (!at_end()) return wrong(in_quotes(*next()) + " is too much at the end of a statement");
  if (act.when != ScriptAct::When::after_start) {
    script_.last =
        std::max(script_.last, act.when == ScriptAct::When::every ? act.until : act.time);
  }
  script_.acts.push_back(std::move(act));
  return {};
}

}  // namespace

Result<Script> read_script(const Plan& plan, std::string_view text) {
  Script script;
  script.takes.assign(plan.instances.size(), usual_run);
  script.is_deaf.assign(plan.instances.size(), false);
  Reader reader(plan, script);
  for (const Words& words : statements(text)) {
    if (const auto understood = reader.statement(words); !understood) return understood.error();
  }
  return script;
}

}  // namespace bulkhead::supervisor
