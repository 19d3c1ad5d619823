// The text format of Prometheus, read strictly: what this does not take, a scraper might not either. Used by the
// tests of /metrics.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace bulkhead::test {

using MetricLabels = std::map<std::string, std::string>;

struct MetricSample {
  std::string name;
  MetricLabels labels;
  double value = 0;
};

struct MetricsText {
  std::map<std::string, std::string> types;  // by family
  std::vector<MetricSample> samples;

  // The value of the one sample with that name and (at least) these labels. Throws when there is none, or several.
  double value(const std::string& name, const MetricLabels& labels = {}) const;
  std::size_t count(const std::string& name, const MetricLabels& labels = {}) const;
};

// Throws std::runtime_error with the line that is wrong: what is no sample, samples without a type before them, a
// series twice, a family twice, histograms whose buckets fall or do not end in their count.
MetricsText parse_metrics(const std::string& text);

}  // namespace bulkhead::test
