#include "supervisor/web_pages.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "supervisor/web_metrics.hpp"
#include "supervisor/web_tally.hpp"

namespace bulkhead::supervisor {
namespace {

using nlohmann::json;

constexpr std::string_view metrics_path = "/metrics", status_path = "/status",
                           health_path = "/healthz";
constexpr const char* metrics_type = "text/plain; version=0.0.4; charset=utf-8";

bool is_internal(const json& row) { return row.value("internal", false); }

// A scheduled worker between its runs waits for a time, and is as it should be; others wait for somebody.
bool is_up(const json& row) {
  const std::string state = row.value("state", "");
  const auto due = row.find("next_start_in_ms");
  const bool is_between_runs = state == "waiting" && due != row.end() && due->is_number();
  return state == "ready" || state == "done" || is_between_runs;
}

WebPage status_page(const WebSnapshot& snapshot) {
  json status = snapshot.status;
  auto workers = json::array();
  for (const auto& row : list_in(status, "workers")) {
    if (!is_internal(row)) workers.push_back(row);
  }
  status["workers"] = std::move(workers);
  return {200, "application/json",
          status.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"};
}

WebPage health_page(const json& status) {
  std::string down;
  for (const auto& row : list_in(status, "workers")) {
    if (is_internal(row) || is_up(row)) continue;
    down += row.value("name", "?") + " " + row.value("state", "?") + "\n";
  }
  if (down.empty()) return {200, WebPage().type, "ok\n"};
  return {503, WebPage().type, "not up:\n" + down};
}

}  // namespace

bool is_web_page(std::string_view path) noexcept {
  return path == metrics_path || path == status_path || path == health_path;
}

WebPage web_page(std::string_view path, const WebSnapshot& snapshot) {
  if (snapshot.error) {
    return {503, WebPage().type,
            "the supervisor does not answer: " + snapshot.error->to_string() + "\n"};
  }
  if (path == status_path) return status_page(snapshot);
  if (path == health_path) return health_page(snapshot.status);
  return {200, metrics_type,
          metrics_text(snapshot.status, snapshot.tally, snapshot.realtime_minus_monotonic_ns)};
}

std::shared_ptr<const WebPage> WebPages::page(const std::string& path,
                                              const WebSnapshot& snapshot) {
  if (std::exchange(of_, snapshot.serial) != snapshot.serial) made_.clear();
  auto& page = made_[path];
  if (page == nullptr) page = std::make_shared<const WebPage>(web_page(path, snapshot));
  return page;
}

}  // namespace bulkhead::supervisor
