// `queue`: what is in the queues, and the dead letters of each; puts those back into play.
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/fields.hpp"
#include "cli/system.hpp"
#include "cli/terminal.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;
using Align = Table::Align;

constexpr std::size_t head_shown = 24;

const json& list(const json& object, const char* key) {
  static const json none = json::array();
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? *found : none;
}

std::string age(const json& letter) {
  const double seconds = letter.value("age_s", 0.0);
  return span_text(std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9)));
}

// The first bytes, whatever they are: not every sequence of them is text that a terminal can show.
std::string beginning(const json& letter) {
  const std::string hex = cell_in(letter, "head");
  std::string bytes;
  for (std::size_t at = 0; at + 1 < hex.size() && bytes.size() < head_shown; at += 2) {
    unsigned byte = 0;
    std::from_chars(hex.data() + at, hex.data() + at + 2, byte, 16);
    if (byte < 0x80) {
      bytes += static_cast<char>(byte);
    } else {
      bytes += "\\x" + hex.substr(at, 2);
    }
  }
  return printable(bytes);
}

std::string queues_table(const json& queues, bool colours) {
  Table table({{"QUEUE"},
               {"FROM"},
               {"TO"},
               {"OUTSTANDING", Align::right},
               {"DEAD LETTERS", Align::right},
               {"DROPPED", Align::right},
               {""}});
  for (const auto& queue : queues) {
    table.add({{cell_in(queue, "name")},
               {cell_in(queue, "from")},
               {cell_in(queue, "to")},
               {cell_in(queue, "outstanding")},
               {std::to_string(list(queue, "dead_letters").size())},
               {cell_in(queue, "dropped")},
               {queue.contains("error") ? cell_in(queue, "error") : "", Colour::red}});
  }
  return table.render(colours);
}

std::string letters_table(const json& queues, bool colours) {
  Table table({{"DEAD LETTER OF"},
               {"TASK", Align::right},
               {"ATTEMPTS", Align::right},
               {"SIZE", Align::right},
               {"LAST WORKER"},
               {"AGE", Align::right},
               {"BEGINS WITH"},
               {""}});
  for (const auto& queue : queues) {
    for (const auto& letter : list(queue, "dead_letters")) {
      table.add({{cell_in(queue, "name")},
                 {cell_in(letter, "task")},
                 {cell_in(letter, "attempts")},
                 {bytes_text(letter.value("bytes", std::uint64_t{0}))},
                 {cell_in(letter, "worker")},
                 {age(letter)},
                 {beginning(letter)},
                 {letter.value("requeueable", true) ? "" : "its completion is not taken yet",
                  Colour::dim}});
    }
  }
  return table.empty() ? "" : "\n" + table.render(colours);
}

std::string numbers(const json& tasks) {
  std::string text;
  for (const auto& task : tasks) text += (text.empty() ? "" : ", ") + task.dump();
  return text;
}

Outcome show(Connection& system, const QueueOptions& options) {
  json params = json::object();
  if (!options.name.empty()) params["name"] = options.name;
  const auto answer = system.request("queue", std::move(params), Deadline::in(answer_timeout));
  if (!answer) return complain(answer.error());
  if (options.json) {
    std::printf("%s\n", answer->dump().c_str());
    return Outcome::done;
  }
  const json& queues = list(*answer, "queues");
  if (queues.empty()) {
    std::printf("the config has no queue\n");
    return Outcome::done;
  }
  const bool colours = colours_wanted(STDOUT_FILENO);
  std::printf("%s%s", queues_table(queues, colours).c_str(),
              letters_table(queues, colours).c_str());
  return Outcome::done;
}

Outcome requeue(Connection& system, const QueueOptions& options) {
  json params{{"name", options.name}};
  if (options.requeue == "all") {
    params["all"] = true;
  } else {
    std::uint64_t task = 0;
    const std::string& word = options.requeue;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), task);
    if (error != std::errc() || end != word.data() + word.size() || task == 0) {
      return complain(Outcome::usage,
                      "--requeue: \"" + word + "\" is no task (write its number, or all)");
    }
    params["task"] = task;
  }
  const auto answer =
      system.request("queue.requeue", std::move(params), Deadline::in(answer_timeout));
  if (!answer) return complain(answer.error());
  if (options.json) {
    std::printf("%s\n", answer->dump().c_str());
    return Outcome::done;
  }
  const json& done = list(*answer, "requeued");
  const json& not_yet = list(*answer, "not_yet");
  if (done.empty() && not_yet.empty()) {
    std::printf("%s has no dead letters\n", options.name.c_str());
  }
  if (!done.empty()) {
    std::printf("requeued %s of %s\n", numbers(done).c_str(), options.name.c_str());
  }
  if (!not_yet.empty()) {
    std::printf("not yet %s of %s: completions that are not taken\n", numbers(not_yet).c_str(),
                options.name.c_str());
  }
  return Outcome::done;
}

}  // namespace

Outcome queue(const SystemChoice& choice, const QueueOptions& options) {
  if (!options.requeue.empty() && options.name.empty()) {
    return complain(Outcome::usage,
                    "--requeue needs a queue: bulkhead queue NAME --requeue " + options.requeue);
  }
  auto system = reach(choice);
  if (!system) return complain(system.error());
  return options.requeue.empty() ? show(*system, options) : requeue(*system, options);
}

}  // namespace bulkhead::cli
