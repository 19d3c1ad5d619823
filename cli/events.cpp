// `events`, and the viewer that shows them under `run`: the supervisor starts this same command, with
// the terminal as its stdout, so that a stopped terminal stalls nobody else, and ends it with SIGTERM,
// after which it shows what is left.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/event_text.hpp"
#include "cli/system.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;
using Format = EventsOptions::Format;

// How often a quiet stream is interrupted to see whether somebody still reads our output.
constexpr std::chrono::seconds look_for_readers{1};

// False when nobody reads our output any more.
bool print_line(std::string line) {
  line += '\n';
  return std::fwrite(line.data(), 1, line.size(), stdout) == line.size() &&
         std::fflush(stdout) == 0;
}

// As somebody would type it in this directory.
std::string typed(const std::string& path) {
  std::error_code error;
  const auto relative = std::filesystem::proximate(path, error);
  if (error || relative.string().starts_with("..")) return path;
  return relative.string();
}

// How to see status, how to kill something, where the logs are.
bool print_hints(Connection& system, const json& status, bool colours) {
  const std::string program = typed(program_path()) + " --name " + system.system().name;
  std::string victim = "NAME", directory;
  if (const auto workers = status.find("workers"); workers != status.end()) {
    if (!workers->empty()) victim = workers->front().value("name", victim);
  }
  const auto logs = system.request("logs", {{"name", victim}}, Deadline::in(answer_timeout));
  if (logs && logs->contains("files") && !(*logs)["files"].empty()) {
    const std::string path = (*logs)["files"].front().value("path", "");
    directory = std::filesystem::path(path).parent_path().string();
  }
  const auto hint = [&](const char* what, const std::string& command) {
    return print_line(painted(what, Colour::dim, colours) +
                      painted(command, Colour::bold, colours));
  };
  return hint("see what runs:         ", program + " status") &&
         hint("kill something:        ", program + " kill " + victim) &&
         hint("what the workers say:  ",
              program + " logs " + victim + " -f" +
                  (directory.empty() ? "" : "   (in " + directory + ")"));
}

class Printer {
 public:
  Printer(Format format, bool colours)
      : format_(format), text_(realtime_minus_monotonic_ns(), colours) {}

  EventText& text() noexcept { return text_; }
  std::uint64_t next() const noexcept { return next_; }

  bool print(const json& event) {
    next_ = std::max(next_, event.value("seq", std::uint64_t{0}) + 1);
    // On the terminal the line before has said as much.
    const bool is_said =
        format_ == Format::terminal && event.value("type", "") == "incident.closed";
    if (is_said) return true;
    if (format_ == Format::json) return print_line(event.dump());
    return print_line(text_.line(event));
  }

 private:
  Format format_;
  EventText text_;
  std::uint64_t next_ = 0;
};

// Raised by SIGTERM from now on, and by one that came earlier: a viewer is started with it blocked.
const StopFlag& stop_at_sigterm() {
  static StopFlag flag;
  std::signal(SIGTERM, [](int) { flag.raise(); });
  sigset_t terminate;
  sigemptyset(&terminate);
  sigaddset(&terminate, SIGTERM);
  ::sigprocmask(SIG_UNBLOCK, &terminate, nullptr);
  return flag;
}

Result<void> print_past(Connection& system, std::uint64_t since, Printer& printer) {
  for (;;) {
    auto page = system.request("events", {{"since", since}, {"follow", false}},
                               Deadline::in(answer_timeout));
    if (!page) return page.error();
    const auto& events = (*page)["events"];
    for (const auto& event : events) {
      if (!printer.print(event)) return {};
    }
    if (events.empty()) return {};
    since = (*page)["next"].get<std::uint64_t>();
  }
}

// Until the system ends, SIGTERM, or nobody reads our output any more.
Result<void> follow(Connection& system, std::uint64_t since, Printer& printer,
                    const StopFlag& stop) {
  for (;;) {
    const auto followed = system.follow_events(
        std::max(since, printer.next()), [&](const json& event) { return printer.print(event); },
        Deadline::in(look_for_readers).unless(stop));
    if (followed || followed.error().is(Errc::no_system)) return {};
    if (followed.error().is(Errc::stopped)) break;
    if (!followed.error().is(Errc::timed_out)) return followed.error();
    if (!wait_while_read(-1, std::chrono::milliseconds(0))) return {};
  }
  const auto rest = print_past(system, std::max(since, printer.next()), printer);
  if (!rest && !rest.error().is(Errc::no_system)) return rest.error();
  return {};
}

}  // namespace

Outcome events(const SystemChoice& choice, const EventsOptions& options) {
  // A viewer is in a process group of its own; on a terminal with `tostop` a write would stop it.
  if (options.format == Format::terminal) std::signal(SIGTTOU, SIG_IGN);
  // A viewer may be asked to go before it has reached its system.
  const StopFlag& stop = stop_at_sigterm();
  auto system = reach(choice);
  if (!system) return complain(system.error());
  const bool colours = colours_wanted(STDOUT_FILENO);
  Printer printer(options.format, colours);
  if (options.format != Format::json) {
    auto status = system->request("status", {{"all", false}}, Deadline::in(answer_timeout));
    if (!status) return complain(status.error());
    for (const auto& worker : (*status)["workers"]) {
      printer.text().expect_name(worker.value("name", ""));
    }
    // A viewer that is told where to begin comes after one that was killed.
    const bool is_first = options.format == Format::terminal && !options.since;
    if (is_first && !print_hints(*system, *status, colours)) {
      return Outcome::failed;
    }
  }
  const std::uint64_t since = options.since.value_or(1);
  const auto shown =
      options.follow ? follow(*system, since, printer, stop) : print_past(*system, since, printer);
  return shown ? Outcome::done : complain(shown.error());
}

}  // namespace bulkhead::cli
