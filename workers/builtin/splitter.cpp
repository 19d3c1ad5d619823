// The splitter: cuts the files of a directory into jobs, deals them to crunchers, merges what they count,
// and holds the sum against a count of its own.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "workers/builtin/builtin.hpp"
#include "workers/builtin/dealer.hpp"
#include "workers/builtin/settings.hpp"
#include "workers/builtin/survey.hpp"

namespace bulkhead::workers {
namespace {

using Clock = std::chrono::steady_clock;

struct Plan {
  std::string link = "jobs", directory = "/usr/include";
  std::uint64_t rounds = 1, job_bytes = std::uint64_t{256} << 10, poison = 0;
};

Result<Plan> read_plan(Worker& self) {
  Plan plan;
  auto read = Settings(self.config())
                  .text("link", plan.link)
                  .text("directory", plan.directory)
                  .count("rounds", plan.rounds, 0, 1'000'000'000)
                  .size("job_bytes", plan.job_bytes, 1, std::uint64_t{1} << 30)
                  .count("poison", plan.poison, 0, 1000)
                  .finish();
  if (!read) return read.error();
  return plan;
}

// A result may need four times its job's message, and both must fit.
JobLimits limits_of(const Plan& plan, const Queue& crunchers) {
  const std::size_t message_max = std::min(std::size_t{64} << 10, crunchers.message_max());
  return {plan.job_bytes, message_max / 4, message_max};
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// The same work by one process, file by file as they are, without a cut.
Result<WordCount> count_alone(Worker& self, const std::vector<std::string>& files) {
  WordCount count;
  std::string buffer;
  for (const auto& path : files) {
    if (self.stopping()) return make_error(Errc::stopped, "counting alone");
    const auto text = read_whole(path, buffer);
    if (!text) return text.error();
    count.add(*text);
  }
  return count;
}

void print_unreadable(const std::vector<Unreadable>& unreadable) {
  if (unreadable.empty()) return;
  std::printf("unreadable: %zu\n", unreadable.size());
  for (const auto& entry : unreadable) {
    std::printf("  %s: %s\n", entry.path.c_str(), entry.reason.c_str());
  }
}

void print_totals(std::uint64_t round, std::size_t files, const WordCount& count) {
  std::printf("round %llu: files=%zu bytes=%llu lines=%llu words=%llu identifiers=%zu\n",
              static_cast<unsigned long long>(round), files,
              static_cast<unsigned long long>(count.bytes),
              static_cast<unsigned long long>(count.lines),
              static_cast<unsigned long long>(count.words), count.identifiers.size());
  std::printf("most frequent:");
  for (const auto& [name, times] : count.most_frequent(20)) {
    std::printf(" %s=%llu", name.c_str(), static_cast<unsigned long long>(times));
  }
  std::printf("\n");
}

// Names the first identifier that differs, since a sum tells nobody where to look.
std::string difference(const WordCount& together, const WordCount& alone) {
  const auto differs = [](const char* what, std::uint64_t a, std::uint64_t b) {
    return std::string(what) + " " + std::to_string(a) + " and not " + std::to_string(b);
  };
  if (together.bytes != alone.bytes) return differs("bytes", together.bytes, alone.bytes);
  if (together.lines != alone.lines) return differs("lines", together.lines, alone.lines);
  if (together.words != alone.words) return differs("words", together.words, alone.words);
  for (const auto& [name, times] : alone.identifiers) {
    const auto found = together.identifiers.find(name);
    const auto counted = found == together.identifiers.end() ? 0 : found->second;
    if (counted != times) return differs(name.c_str(), counted, times);
  }
  return differs("identifiers", together.identifiers.size(), alone.identifiers.size());
}

void print_given_up(const Plan& plan, const Dealt& dealt) {
  if (plan.poison == 0) return;
  std::printf("poison: planted=%llu given_up=%llu\n", static_cast<unsigned long long>(plan.poison),
              static_cast<unsigned long long>(dealt.poison_given_up));
}

std::string verdict_on(const Dealt& dealt, const WordCount& alone) {
  if (!dealt.given_up.empty()) {
    return "check: incomplete, " + std::to_string(dealt.given_up.size()) + " jobs were given up";
  }
  if (dealt.count == alone) return "check: ok";
  return "check: MISMATCH " + difference(dealt.count, alone);
}

Result<void> run_round(Worker& self, const Plan& plan, Queue& crunchers, std::uint64_t round) {
  // A round's number is never used twice, not even by the successor of a splitter that died.
  const auto id = std::uint64_t{self.generation()} << 32 | round;
  self.status("round=" + std::to_string(round) + " looking through " + plan.directory);
  const auto limits = limits_of(plan, crunchers);
  auto found = survey(plan.directory, id, limits, [&] { return !self.stopping(); });
  if (!found && found.error().is(Errc::cancelled)) return make_error(Errc::stopped, "surveying");
  if (!found) return found.error();

  const auto begin = Clock::now();
  auto dealt = deal(self, crunchers, found->jobs, id, plan.poison);
  if (!dealt) return dealt.error();
  const double together = seconds_since(begin);
  const auto begin_alone = Clock::now();
  const auto alone = count_alone(self, found->files);
  if (!alone) return alone.error();
  const double by_one = seconds_since(begin_alone);

  auto& unreadable = found->unreadable;
  unreadable.insert(unreadable.end(), dealt->failed.begin(), dealt->failed.end());
  print_unreadable(unreadable);
  print_totals(round, found->files.size(), dealt->count);
  print_given_up(plan, *dealt);
  std::printf("time: %.3f s together, %.3f s alone: speed-up %.2f on %u CPUs\n", together, by_one,
              by_one / std::max(together, 1e-9), std::thread::hardware_concurrency());
  const auto verdict = verdict_on(*dealt, *alone);
  std::printf("%s\n", verdict.c_str());
  std::fflush(stdout);
  self.status("round=" + std::to_string(round) + " " + verdict);
  if (dealt->count == *alone || !dealt->given_up.empty()) return {};
  return make_error(Errc::remote_error, "the crunchers' count is not ours: " + verdict);
}

}  // namespace

Result<void> run_splitter(Worker& self) {
  const auto plan = read_plan(self);
  if (!plan) return plan.error();
  auto crunchers = self.queue(plan->link);
  if (!crunchers) return crunchers.error();
  self.ready();
  for (std::uint64_t round = 1; plan->rounds == 0 || round <= plan->rounds; ++round) {
    if (auto done = run_round(self, *plan, *crunchers, round); !done) {
      return self.ended(done.error());
    }
  }
  return {};
}

}  // namespace bulkhead::workers
