#include "cli/lab.hpp"

#include <unistd.h>

#include <CLI/Formatter.hpp>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/terminal.hpp"
#include "lab/gantt.hpp"
#include "lab/scheduling.hpp"

namespace bulkhead::cli {
namespace {

using nlohmann::json;
using Align = Table::Align;

constexpr const char* scheduling_title = "one set of jobs under six scheduling policies";

struct LabOptions {
  bool json = false;
  unsigned workers = 1;
  std::string svg;  // "": none
};

std::string one_digit(double figure) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", figure);
  return text.data();
}

json to_json(const lab::PolicyRun& run, const lab::SchedulingLab& lab) {
  auto turns = json::array();
  for (const auto& turn : run.turns) {
    turns.push_back({{"job", std::string(1, lab.jobs[turn.job].name)},
                     {"processor", turn.processor},
                     {"begin_ms", turn.begin_ms},
                     {"end_ms", turn.end_ms}});
  }
  const auto& figures = run.figures;
  return {{"policy", to_string(run.policy)},
          {"waiting_ms", figures.waiting},
          {"turnaround_ms", figures.turnaround},
          {"response_ms", figures.response},
          {"fairness", figures.fairness},
          {"switches", figures.switches},
          {"turns", std::move(turns)}};
}

json to_json(const lab::SchedulingLab& lab) {
  auto steps = json::array();
  for (const auto& check : lab.checks)
    steps.push_back({{"what", check.what}, {"passed", check.passed}});
  auto runs = json::array();
  for (const auto& run : lab.runs) runs.push_back(to_json(run, lab));
  return {{"name", "scheduling"},
          {"passed", lab.passed()},
          {"steps", std::move(steps)},
          {"workers", lab.workers},
          {"quantum_ms", lab.quantum.count()},
          {"runs", std::move(runs)}};
}

void show_jobs(const lab::SchedulingLab& lab, bool colours) {
  Table table(
      {{"JOB"}, {"SUBMITTED", Align::right}, {"LENGTH", Align::right}, {"PRIORITY", Align::right}});
  for (const auto& job : lab.jobs) {
    table.add({{std::string(1, job.name)},
               {span_text(job.at)},
               {span_text(job.length)},
               {std::to_string(job.priority)}});
  }
  std::printf("%s\n", table.render(colours).c_str());
}

void show_runs(const lab::SchedulingLab& lab, bool colours) {
  constexpr std::size_t columns = 72;
  for (const auto& run : lab.runs) {
    const auto lines = gantt_lines(lab, run, columns);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::string name = i == 0 ? std::string(to_string(run.policy)) : "";
      std::printf("%-19s %s\n", name.c_str(), lines[i].c_str());
    }
  }
  std::printf("%-19s 0%*s\n\n", "", static_cast<int>(columns) - 1,
              (one_digit(length_ms(lab)) + " ms").c_str());
  Table table({{"MEAN, IN MS"},
               {"WAITING", Align::right},
               {"TURNAROUND", Align::right},
               {"RESPONSE", Align::right},
               {"FAIRNESS", Align::right},
               {"SWITCHES", Align::right}});
  for (const auto& run : lab.runs) {
    std::array<char, 16> fairness{};
    std::snprintf(fairness.data(), fairness.size(), "%.2f", run.figures.fairness);
    table.add({{std::string(to_string(run.policy))},
               {one_digit(run.figures.waiting)},
               {one_digit(run.figures.turnaround)},
               {one_digit(run.figures.response)},
               {fairness.data()},
               {std::to_string(run.figures.switches)}});
  }
  std::printf("%s\n", table.render(colours).c_str());
}

void show_checks(const lab::SchedulingLab& lab, bool colours) {
  for (const auto& check : lab.checks) {
    const auto word = check.passed ? painted("yes", Colour::green, colours)
                                   : painted("NO ", Colour::red, colours);
    std::printf("%s  %s\n", word.c_str(), check.what.c_str());
  }
}

Outcome write_svg(const std::string& path, const lab::SchedulingLab& lab) {
  std::ofstream file(path);
  file << gantt_svg(lab);
  file.close();
  if (file) return Outcome::done;
  return complain(Outcome::failed, "the picture cannot be written to " + path + ": " +
                                       std::strerror(errno) + " (give --svg another path)");
}

Outcome scheduling(const LabOptions& options) {
  if (!options.svg.empty() && !std::ofstream(options.svg, std::ios::app)) {
    return complain(Outcome::failed, "the picture cannot be written to " + options.svg + ": " +
                                         std::strerror(errno) + " (give --svg another path)");
  }
  const auto lab = lab::run_scheduling(options.workers);
  if (!lab) return complain(lab.error());
  if (options.json) {
    std::printf("%s\n", to_json(*lab).dump(1).c_str());
  } else {
    const bool colours = colours_wanted(STDOUT_FILENO);
    show_jobs(*lab, colours);
    show_runs(*lab, colours);
    show_checks(*lab, colours);
  }
  if (!options.svg.empty()) {
    if (const auto written = write_svg(options.svg, *lab); written != Outcome::done) return written;
  }
  return lab->passed() ? Outcome::done : Outcome::failed;
}

Outcome list(bool as_json) {
  if (as_json) {
    const json labs = {{"labs", {{{"name", "scheduling"}, {"title", scheduling_title}}}}};
    std::printf("%s\n", labs.dump(1).c_str());
  } else {
    Table table({{"LAB"}, {"WHAT IT SHOWS"}});
    table.add({{"scheduling"}, {scheduling_title}});
    std::printf("%s", table.render(colours_wanted(STDOUT_FILENO)).c_str());
  }
  return Outcome::done;
}

}  // namespace

void add_lab(CLI::App& app, std::function<Outcome()>& action) {
  auto options = std::make_shared<LabOptions>();
  auto* labs = app.add_subcommand("lab", "list or run the demonstrations");
  labs->add_flag("--json", options->json, "as JSON");
  auto* one = labs->add_subcommand("scheduling", scheduling_title);
  one->add_flag("--json", options->json, "as JSON");
  one->add_option("--workers", options->workers, "how many jobs run at a time; 1 without it")
      ->check(CLI::Range(1, 64));
  one->add_option("--svg", options->svg, "write the picture to this file, too");
  labs->callback([&action, options, one] {
    action = one->parsed() ? std::function<Outcome()>([options] { return scheduling(*options); })
                           : [options] { return list(options->json); };
  });
}

}  // namespace bulkhead::cli
