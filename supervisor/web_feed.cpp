#include "supervisor/web_feed.hpp"

#include <utility>

namespace bulkhead::supervisor {
namespace {

// What one question takes in at the most; the rest comes with the next. The event ring has 66 pages.
constexpr int pages_max = 100;

std::int64_t realtime_minus_monotonic_ns() {
  const auto since_epoch = [](auto now) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
  };
  return since_epoch(std::chrono::system_clock::now()) -
         since_epoch(std::chrono::steady_clock::now());
}

}  // namespace

WebFeed::WebFeed(std::string control_path)
    : control_path_(std::move(control_path)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

void WebFeed::ask(Answer answer) {
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(answer));
  wanted_.notify_one();
}

void WebFeed::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::vector<Answer> askers;
    {
      std::unique_lock lock(mutex_);
      if (!wanted_.wait(lock, stop, [this] { return !waiting_.empty(); })) return;
      askers = std::exchange(waiting_, {});
    }
    const bool is_fresh = taken_ && std::chrono::steady_clock::now() - *taken_ < fresh_for;
    if (!is_fresh) refresh();
    for (const auto& asker : askers) asker(snapshot_);
  }
}

void WebFeed::refresh() {
  ++snapshot_.serial;
  const auto asked = ask_brain();
  snapshot_.error.reset();
  if (!asked) {
    snapshot_.error = asked.error();
    snapshot_.status = nlohmann::json();
    connection_.reset();  // the next one begins anew
  }
  snapshot_.realtime_minus_monotonic_ns = realtime_minus_monotonic_ns();
  taken_ = std::chrono::steady_clock::now();
}

Result<void> WebFeed::ask_brain() {
  if (!connection_) {
    auto made = connect(control_path_, Deadline::in(patience));
    if (!made) return made.error();
    connection_.emplace(std::move(*made));
  }
  auto status = request("status", {{"all", true}});
  if (!status) return status.error();
  snapshot_.status = std::move(*status);
  WebTally& tally = snapshot_.tally;
  bool more = true;
  for (int pages = 0; more && pages < pages_max; ++pages) {
    const auto page = request("events", {{"since", tally.next_event}});
    if (!page) return page.error();
    more = tally.add_events(*page);
  }
  more = true;
  for (int pages = 0; more && pages < pages_max; ++pages) {
    const auto page = request("incidents", {{"since", tally.next_incident}});
    if (!page) return page.error();
    more = tally.add_incidents(*page);
  }
  return {};
}

Result<nlohmann::json> WebFeed::request(std::string_view method, nlohmann::json params) {
  return connection_->request(method, std::move(params), Deadline::in(patience));
}

}  // namespace bulkhead::supervisor
