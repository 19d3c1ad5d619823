// What the web process knows of the system: asked of the brain like by any other client, one question at a time
// and only when somebody wants an answer. Used by the web server; knows nothing of HTTP.
#pragma once

#include <bulkhead/connection.hpp>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "supervisor/web_tally.hpp"

namespace bulkhead::supervisor {

struct WebSnapshot {
  std::optional<Error> error;  // why the supervisor did not answer; then there is nothing else
  std::uint64_t serial = 0;    // one more each time that the brain was asked
  nlohmann::json status;       // with the internal workers
  WebTally tally;
  std::int64_t realtime_minus_monotonic_ns = 0;  // turns the times in it into those of the calendar
};

// Threads: ask() from any; answers are given on the feed's own thread, which is the one that waits for the brain.
// After a crash of the brain: the question is asked again of the next one.
class WebFeed {
 public:
  // So long an answer is good for others, too: what one scrapes every second, ten may.
  static constexpr std::chrono::milliseconds fresh_for{100};
  // A brain that hangs is replaced after 2 s, and the question repeated.
  static constexpr std::chrono::seconds patience{5};

  explicit WebFeed(std::string control_path);

  // Whoever asks while a question is under way gets the answer to the next: it must not be older than theirs.
  using Answer = std::function<void(const WebSnapshot&)>;
  void ask(Answer);

 private:
  void run(const std::stop_token&);
  void refresh();
  Result<void> ask_brain();
  Result<nlohmann::json> request(std::string_view method, nlohmann::json params);

  const std::string control_path_;
  std::optional<Connection> connection_;
  WebSnapshot snapshot_;
  std::optional<std::chrono::steady_clock::time_point> taken_;

  std::mutex mutex_;  // of what follows; the rest is the thread's
  std::condition_variable_any wanted_;
  std::vector<Answer> waiting_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace bulkhead::supervisor
