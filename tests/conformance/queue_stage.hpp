// A queue with its supervisor played by the test: a dispatcher and workers that live, die and come again in
// one process, in whatever order a test wants. Used by the tests of queues.
#pragma once

#include <gtest/gtest.h>
#include <bulkhead/queue.hpp>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ipc/queue_consumer.hpp"
#include "ipc/queue_dispatcher.hpp"
#include "tests/conformance/pair_test.hpp"
#include "tests/conformance/test_brain.hpp"

namespace bulkhead::test {

class NotingDesk final : public ipc::QuarantineDesk {
 public:
  std::uint64_t report(const Report& report) override {
    reports.push_back(report);
    return reports.size();
  }
  bool is_noted(std::uint64_t) override { return notes; }

  std::vector<Report> reports;
  bool notes = true;
};

class QueueStage : public testing::TestWithParam<Transport> {
 protected:
  static constexpr std::size_t capacity = std::size_t{64} << 10;
  static constexpr std::size_t message_max = 8'000;

  void TearDown() override {
    lose_taken();
    workers.clear();
    dispatcher.reset();
  }

  void make(std::size_t worker_count, std::uint16_t max_attempts = 3) {
    attempts_max = max_attempts;
    const auto shape = ipc::JournalShape::of(capacity, static_cast<std::uint32_t>(worker_count));
    journal = ipc::QueueJournal::create("jobs", shape).value();
    ChannelOptions options;
    options.capacity = capacity;
    options.max_message = message_max + ipc::queue_frame_bytes;
    for (std::size_t i = 0; i < worker_count; ++i) {
      brains.push_back(std::make_unique<TestBrain>(GetParam(), options));
    }
    workers.resize(worker_count);
  }

  Result<std::shared_ptr<ipc::QueueDispatcher>> open_dispatcher() {
    ipc::DispatcherSpec spec;
    spec.link = "jobs";
    spec.max_attempts = attempts_max;
    spec.journal = base::duplicate(journal.get()).value();
    spec.desk = desk;
    spec.workers = workers_told;
    for (std::size_t i = 0; i < brains.size(); ++i) {
      spec.members.push_back({static_cast<std::uint16_t>(i), "jobs/a.0/b." + std::to_string(i),
                              brains[i]->start(ipc::Side::from)});
    }
    return ipc::QueueDispatcher::open(std::move(spec));
  }
  void start_dispatcher() { dispatcher.emplace(Queue(open_dispatcher().value())); }
  void kill_dispatcher() {
    lose_taken();
    dispatcher.reset();
    for (auto& brain : brains) brain->bury(ipc::Side::from);
  }
  void restart_dispatcher() {
    kill_dispatcher();
    start_dispatcher();
  }

  void start_worker(std::size_t which) {
    std::optional<ipc::LeaseClock> clock;
    if (lease_page.is_open()) clock.emplace(ipc::map_lease_page(lease_page.get()).value());
    workers[which].emplace(Queue(std::make_shared<ipc::QueueConsumer>(
        brains[which]->start(ipc::Side::to), std::move(clock))));
  }
  // The leases that it had are the caller's to forget: a killed process lets go of nothing.
  void kill_worker(std::size_t which) {
    workers[which].reset();
    brains[which]->bury(ipc::Side::to);
  }
  // It says hello, and is dealt what there is.
  void greet(std::size_t which) {
    turn();
    static_cast<void>(workers[which]->lease(Deadline::now()));
    turn();
  }
  void start_all(std::size_t worker_count, std::uint16_t max_attempts = 3) {
    make(worker_count, max_attempts);
    start_dispatcher();
    for (std::size_t i = 0; i < worker_count; ++i) {
      start_worker(i);
      greet(i);
    }
  }

  // Takes in what workers said, and deals.
  void turn() {
    if (!dispatcher) return;
    if (auto over = dispatcher->next_completion(Deadline::now())) taken.push_back(std::move(*over));
  }
  void lose_taken() {
    for (auto& over : taken) over.release();
    taken.clear();
  }
  TaskId push(std::string_view text) {
    const auto pushed = dispatcher->try_push(as_bytes(text));
    EXPECT_TRUE(pushed) << pushed.error().to_string();
    return pushed ? *pushed : 0;
  }
  std::optional<Lease> try_lease(std::size_t which) {
    for (int tries = 0; tries < 4; ++tries) {
      turn();
      if (auto task = workers[which]->lease(Deadline::now())) return std::move(*task);
    }
    return std::nullopt;
  }
  // A test that expects one and gets none ends by the exception.
  Lease lease(std::size_t which) { return std::move(try_lease(which)).value(); }
  static std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  void complete(std::size_t which, std::string_view result) {
    auto task = lease(which);
    const auto done = task.complete(as_bytes(result), soon());
    EXPECT_TRUE(done) << done.error().to_string();
  }
  // A lease that dies with its process: what it knows is never said.
  std::pair<TaskId, std::uint32_t> die_over_task(std::size_t which) {
    const auto& task = forgotten.emplace_back(std::make_unique<Lease>(lease(which)));
    const std::pair known{task->task(), task->attempt()};
    kill_worker(which);
    turn();
    return known;
  }
  std::optional<Completion> try_take() {
    turn();
    if (taken.empty()) return std::nullopt;
    std::optional<Completion> first(std::move(taken.front()));
    taken.pop_front();
    return first;
  }
  Completion take() { return std::move(try_take()).value(); }
  // The next completion as "task=result", acknowledged.
  std::string next() {
    const auto over = try_take();
    if (!over) return "nothing";
    const std::string what = over->quarantined() ? "quarantined" : text_of(over->bytes());
    return std::to_string(over->task()) + "=" + what;
  }

  std::uint16_t attempts_max = 3;
  std::uint16_t workers_told = 0;
  base::UniqueFd journal;
  base::UniqueFd lease_page;  // of the one worker, in a queue with a lease_timeout
  std::shared_ptr<NotingDesk> desk = std::make_shared<NotingDesk>();
  std::vector<std::unique_ptr<TestBrain>> brains;
  std::optional<Queue> dispatcher;
  std::deque<Completion> taken;
  std::vector<std::optional<Queue>> workers;
  std::vector<std::unique_ptr<Lease>> forgotten;
};

}  // namespace bulkhead::test
