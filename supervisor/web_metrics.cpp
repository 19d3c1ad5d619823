#include "supervisor/web_metrics.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>
#include <vector>

#include "supervisor/core_state.hpp"

namespace bulkhead::supervisor {
namespace {

using nlohmann::json;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

double number(const json& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end()) return 0;
  if (found->is_boolean()) return found->get<bool>() ? 1 : 0;
  return found->is_number() ? found->get<double>() : 0;
}

std::string text(const json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_string() ? found->get<std::string>() : "";
}

const json& part(const json& row, const char* key) {
  static const json none;
  const auto found = row.find(key);
  return found != row.end() ? *found : none;
}

bool has_number(const json& row, const char* key) { return part(row, key).is_number(); }

class Page {
 public:
  Page& gauge(const char* name, const char* help) { return begin(name, help, MetricType::Gauge); }
  Page& counter(const char* name, const char* help) {
    return begin(name, help, MetricType::Counter);
  }
  Page& histogram(const char* name, const char* help) {
    return begin(name, help, MetricType::Histogram);
  }

  Page& add(double value, Labels labels = {}) {
    ClientMetric& metric = append(std::move(labels));
    const bool counts = families_.back().type == MetricType::Counter;
    (counts ? metric.counter.value : metric.gauge.value) = value;
    return *this;
  }

  void add(const Recoveries& recoveries, Labels labels) {
    auto& histogram = append(std::move(labels)).histogram;
    histogram.sample_count = recoveries.count;
    histogram.sample_sum = recoveries.sum_s;
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < Recoveries::bounds_s.size(); ++i) {
      below += recoveries.counts[i];
      histogram.bucket.push_back({below, Recoveries::bounds_s[i]});
    }
  }

  std::string render() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return std::move(out).str();
  }

 private:
  Page& begin(const char* name, const char* help, MetricType type) {
    auto& family = families_.emplace_back();
    family.name = name;
    family.help = help;
    family.type = type;
    return *this;
  }
  ClientMetric& append(Labels labels) {
    auto& metric = families_.back().metric.emplace_back();
    metric.label = std::move(labels);
    return metric;
  }

  std::vector<MetricFamily> families_;
};

// One sample a row, of the rows for which there is one.
template <class Rows, class Labelled>
void each(Page& page, const Rows& rows, const char* key, const Labelled& labels,
          double factor = 1) {
  for (const json* row : rows) {
    if (has_number(*row, key)) page.add(number(*row, key) * factor, labels(*row));
  }
}

void add_system(Page& page, const json& supervisor) {
  page.gauge("bulkhead_info", "The system that this is about.")
      .add(1, {{"system", text(supervisor, "name")}});
  page.gauge("bulkhead_uptime_seconds", "Since the system was started.")
      .add(number(supervisor, "uptime_s"));
  page.gauge("bulkhead_brain_generation",
             "Number of the brain that runs; a recovery or a reload makes another.")
      .add(number(supervisor, "brain_generation"));
  page.gauge("bulkhead_config_serial", "Number of the config that is in force.")
      .add(number(supervisor, "config_serial"));
  page.gauge("bulkhead_stopping", "1 while the system is on its way down.")
      .add(number(supervisor, "stopping"));
  page.counter("bulkhead_orphans_reaped_total",
               "Processes that workers left behind and the keeper reaped.")
      .add(number(supervisor, "orphans_reaped"));
}

using Rows = std::vector<const json*>;

Labels of_worker(const json& row) {
  return {{"worker", text(row, "worker")}, {"name", text(row, "name")}};
}

void add_states(Page& page, const Rows& workers) {
  std::map<std::string, std::uint64_t> by_state;
  for (const json* row : workers) ++by_state[text(*row, "state")];
  page.gauge("bulkhead_workers", "Instances of workers by state.");
  for (auto state = InstanceStatus::disabled; state <= InstanceStatus::quarantined;
       state = static_cast<InstanceStatus>(static_cast<int>(state) + 1)) {
    const std::string word(to_string(state));
    page.add(static_cast<double>(by_state[word]), {{"state", word}});
  }
  page.gauge("bulkhead_worker_state", "1 for the state that the instance is in.");
  for (const json* row : workers) {
    auto labels = of_worker(*row);
    labels.push_back({"state", text(*row, "state")});
    page.add(1, std::move(labels));
  }
  page.gauge("bulkhead_worker_up",
             "1 while the instance is ready, or done with what it had to do.");
  for (const json* row : workers) {
    const std::string state = text(*row, "state");
    page.add(state == "ready" || state == "done" ? 1 : 0, of_worker(*row));
  }
}

// What an instance died of last. One series an instance: the labels change with the next death.
void add_last_exits(Page& page, const Rows& workers, std::int64_t offset_ns) {
  page.gauge("bulkhead_worker_last_exit_info", "1, with how the instance ended last and by what.");
  for (const json* row : workers) {
    const json& exit = part(*row, "last_exit");
    if (!exit.is_object()) continue;
    auto labels = of_worker(*row);
    labels.push_back({"kind", text(exit, "kind")});
    const std::string signal = text(exit, "signal");
    labels.push_back({"cause", !signal.empty()
                                   ? signal
                                   : text(exit, "kind") + " " +
                                         std::to_string(static_cast<int>(number(exit, "code")))});
    page.add(1, std::move(labels));
  }
  page.gauge("bulkhead_worker_last_exit_timestamp_seconds",
             "When that was, in seconds since 1970.");
  for (const json* row : workers) {
    const json& exit = part(*row, "last_exit");
    if (!exit.is_object()) continue;
    page.add((number(exit, "t_ns") + static_cast<double>(offset_ns)) / 1e9, of_worker(*row));
  }
}

void add_workers(Page& page, const Rows& workers, std::int64_t offset_ns) {
  add_states(page, workers);
  page.counter("bulkhead_worker_restarts_total", "Starts of the instance after its first.");
  each(page, workers, "restarts", of_worker);
  page.gauge("bulkhead_worker_generation", "Number of the incarnation that runs, or ran last.");
  each(page, workers, "generation", of_worker);
  page.gauge("bulkhead_worker_uptime_seconds",
             "Since the process was started; 0 when there is none.");
  each(page, workers, "uptime_s", of_worker);
  page.gauge("bulkhead_worker_resident_memory_bytes", "Resident memory of the process.");
  each(page, workers, "rss_bytes", of_worker);
  page.counter("bulkhead_worker_cpu_seconds_total",
               "Processor time of the process, user and system.");
  each(page, workers, "cpu_s", of_worker);
  page.gauge("bulkhead_worker_next_start_seconds", "Until the next start, where one is planned.");
  each(page, workers, "next_start_in_ms", of_worker, 1e-3);
  add_last_exits(page, workers, offset_ns);
}

void add_internals(Page& page, const Rows& internals) {
  const auto labels = [](const json& row) { return Labels{{"name", text(row, "name")}}; };
  page.gauge("bulkhead_internal_up", "1 while the supervisor's own process runs.");
  for (const json* row : internals) page.add(has_number(*row, "pid") ? 1 : 0, labels(*row));
  page.counter("bulkhead_internal_restarts_total",
               "Starts of the supervisor's own process after its first.");
  each(page, internals, "restarts", labels);
  page.gauge("bulkhead_internal_resident_memory_bytes",
             "Resident memory of the supervisor's own process.");
  each(page, internals, "rss_bytes", labels);
  page.counter("bulkhead_internal_cpu_seconds_total",
               "Processor time of the supervisor's own process.");
  each(page, internals, "cpu_s", labels);
}

// One pair of a link's ends, with what it counts.
struct LinkEnd {
  Labels labels;
  const json* figures;
};

std::vector<LinkEnd> link_ends(const json& links) {
  std::vector<LinkEnd> ends;
  const auto labels = [](const json& link, std::string to) {
    return Labels{{"link", text(link, "name")},
                  {"type", text(link, "type")},
                  {"transport", text(link, "transport")},
                  {"from", text(link, "from")},
                  {"to", std::move(to)}};
  };
  for (const json& link : links) {
    const json& subscribers = part(link, "subscribers");
    if (!subscribers.is_array()) ends.push_back({labels(link, text(link, "to")), &link});
    for (const json& row : subscribers) ends.push_back({labels(link, text(row, "name")), &row});
  }
  return ends;
}

void add_links(Page& page, const json& links) {
  const auto ends = link_ends(links);
  const auto add = [&](const char* key) {
    for (const auto& end : ends) {
      if (has_number(*end.figures, key)) page.add(number(*end.figures, key), end.labels);
    }
  };
  page.counter("bulkhead_link_sent_total", "Messages that were committed.");
  add("sent");
  page.counter("bulkhead_link_acknowledged_total", "Messages that the receiver let go of.");
  add("acknowledged");
  page.counter("bulkhead_link_redelivered_total", "Messages that came again after a death.");
  add("redelivered");
  page.counter("bulkhead_link_dropped_total", "Messages that the overflow policy dropped.");
  add("dropped");
  page.counter("bulkhead_link_quarantined_total", "Tasks that a queue gave up.");
  add("quarantined");
  page.gauge("bulkhead_link_depth", "Messages that wait for their receiver.");
  add("depth");
  page.counter("bulkhead_topic_published_total", "Messages of a topic, each counted once.");
  for (const json& link : links) {
    if (has_number(link, "published")) {
      page.add(number(link, "published"),
               {{"link", text(link, "name")}, {"from", text(link, "from")}});
    }
  }
  page.gauge("bulkhead_queue_outstanding", "Tasks of a queue that are not over.");
  std::string last;
  for (const json& link : links) {  // those of a link say the same and stand together
    if (std::exchange(last, text(link, "name")) == text(link, "name")) continue;
    if (has_number(link, "outstanding")) {
      page.add(number(link, "outstanding"), {{"link", text(link, "name")}});
    }
  }
}

void add_tally(Page& page, const WebTally& tally) {
  page.counter("bulkhead_events_total", "Events of the stream by type.");
  for (const auto& [type, count] : tally.events)
    page.add(static_cast<double>(count), {{"type", type}});
  page.counter("bulkhead_events_missed_total",
               "Events that were overwritten before they could be counted.")
      .add(static_cast<double>(tally.events_missed));
  page.counter("bulkhead_incidents_total", "Deaths of workers that nobody asked for, by cause.");
  for (const auto& [cause, count] : tally.incidents) {
    page.add(static_cast<double>(count), {{"cause", cause}});
  }
  page.histogram("bulkhead_recovery_seconds",
                 "From a death to a successor that is ready, by cause.");
  for (const auto& [cause, recoveries] : tally.recoveries) page.add(recoveries, {{"cause", cause}});
}

}  // namespace

std::string metrics_text(const json& status, const WebTally& tally, std::int64_t offset_ns) {
  Rows workers, internals;
  for (const json& row : part(status, "workers")) {
    (number(row, "internal") != 0 ? internals : workers).push_back(&row);
  }
  Page page;
  add_system(page, part(status, "supervisor"));
  add_workers(page, workers, offset_ns);
  add_internals(page, internals);
  add_links(page, part(status, "links"));
  page.gauge("bulkhead_socket_info",
             "1 for each socket that is held for workers, with where it listens.");
  for (const json& row : part(status, "sockets")) {
    page.add(1, {{"socket", text(row, "name")}, {"address", text(row, "address")}});
  }
  add_tally(page, tally);
  return page.render();
}

}  // namespace bulkhead::supervisor
