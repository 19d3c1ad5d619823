// The client: calls a service without pause, checks each answer against its own computation, and counts.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <random>

#include "workers/builtin/arithmetic.hpp"
#include "workers/builtin/builtin.hpp"
#include "workers/builtin/latency.hpp"
#include "workers/builtin/settings.hpp"

namespace bulkhead::workers {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

// A way to make up a request, and to know the right answer.
struct Question {
  std::function<Json(std::mt19937_64&)> request;
  std::function<Result<Json>(const Json&)> answer;
};

Json random_matrix(std::mt19937_64& random, std::size_t rows) {
  Json matrix = Json::array();
  for (std::size_t row = 0; row < rows; ++row) {
    Json line = Json::array();
    for (std::size_t column = 0; column < rows; ++column) line.push_back(random() % 1000);
    matrix.push_back(std::move(line));
  }
  return matrix;
}

const std::map<std::string, Question>& questions() {
  static const std::map<std::string, Question> all{
      {"add",
       {[](auto& random) {
          return Json{random() >> 2, random() >> 2};
        },
        &add}},
      {"primes", {[](auto& random) { return Json(random() % 10'000); }, &count_primes}},
      {"matrix",
       {[](auto& random) {
          return Json{random_matrix(random, 4), random_matrix(random, 4)};
        },
        &matrix_product}},
      {"echo",
       {[](auto& random) { return Json("echo " + std::to_string(random())); },
        [](const Json& request) -> Result<Json> { return request; }}}};
  return all;
}

struct CallCount {
  std::uint64_t ok = 0, peer_died = 0, timed_out = 0, other = 0, wrong = 0;
  LatencyCount latency;
  std::string last_error;

  std::string summary() const {
    const auto us = [&](double share) {
      return std::to_string(latency.percentile(share) / std::chrono::microseconds(1));
    };
    return "ok=" + std::to_string(ok) + " peer_died=" + std::to_string(peer_died) +
           " other=" + std::to_string(other) + " wrong=" + std::to_string(wrong) +
           " p50_us=" + us(0.5) + " p99_us=" + us(0.99) + " timed_out=" + std::to_string(timed_out);
  }
  void take_error(const Error& error) {
    if (error.is(Errc::peer_died)) {
      ++peer_died;
    } else if (error.is(Errc::timed_out)) {
      ++timed_out;
    } else {
      ++other;
    }
    last_error = error.to_string();
  }
};

struct Plan {
  std::string service;
  std::vector<std::string> methods;
  nanoseconds pause{0};
  nanoseconds timeout = std::chrono::seconds(5);
  nanoseconds report_every = std::chrono::seconds(1);
};

Result<Plan> read_plan(Worker& self) {
  Plan plan;
  auto read = Settings(self.config())
                  .text("service", plan.service)
                  .required("service")
                  .texts("methods", plan.methods)
                  .required("methods")
                  .duration("pause", plan.pause)
                  .duration("timeout", plan.timeout)
                  .duration("report_every", plan.report_every)
                  .finish();
  if (!read) return read.error();
  if (plan.methods.empty()) return make_error(Errc::bad_config, "config key \"methods\" is empty");
  for (const auto& method : plan.methods) {
    if (questions().contains(method)) continue;
    return make_error(Errc::bad_config, "config key \"methods\": no question is known for \"" +
                                            method + "\" (add, primes, matrix, echo)");
  }
  return plan;
}

void print(const CallCount& count) {
  std::printf("%s%s%s\n", count.summary().c_str(),
              count.last_error.empty() ? "" : " last error: ", count.last_error.c_str());
  std::fflush(stdout);
}

// Errors: stopped only.
Result<void> ask(Worker& self, Client& client, const std::string& method, const Question& question,
                 std::mt19937_64& random, nanoseconds timeout, CallCount& count) {
  const auto request = question.request(random);
  const auto expected = question.answer(request);
  const auto begin = Clock::now();
  const auto answer = client.call_json(method, request, self.until_stop(timeout));
  if (answer) {
    count.latency.add(Clock::now() - begin);
    if (expected && *answer == *expected) {
      ++count.ok;
    } else {
      ++count.wrong;
      std::printf("wrong: %s %s was answered with %s\n", method.c_str(), request.dump().c_str(),
                  answer->dump().c_str());
      std::fflush(stdout);
    }
    return {};
  }
  if (answer.error().is(Errc::stopped)) return answer.error();
  count.take_error(answer.error());
  // A death is known at once and the next call waits for the successor by itself; anything else would
  // only repeat itself as fast as it can.
  if (answer.error().is(Errc::peer_died)) return {};
  return self.pause(std::chrono::milliseconds(10));
}

}  // namespace

Result<void> run_client(Worker& self) {
  const auto plan = read_plan(self);
  if (!plan) return plan.error();
  auto client = self.client(plan->service);
  self.ready();

  std::mt19937_64 random(self.generation() * 1000 + self.index());
  CallCount count;
  // The status is for people who watch, so it does not wait for a report.
  const auto status_every = std::min<nanoseconds>(plan->report_every, std::chrono::seconds(1));
  auto status_at = Clock::now(), report_at = status_at + plan->report_every;
  for (std::size_t turn = 0;; ++turn) {
    const auto& method = plan->methods[turn % plan->methods.size()];
    auto asked = ask(self, client, method, questions().at(method), random, plan->timeout, count);
    if (asked && plan->pause.count() > 0) asked = self.pause(plan->pause);
    const auto now = Clock::now();
    const bool leaving = !asked || self.stopping();
    if (leaving || now >= status_at) {
      self.status(count.summary());
      status_at = now + status_every;
    }
    if (leaving || now >= report_at) {
      print(count);
      report_at = now + plan->report_every;
    }
    if (leaving) return asked ? asked : self.ended(asked.error());
  }
}

}  // namespace bulkhead::workers
