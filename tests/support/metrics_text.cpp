#include "tests/support/metrics_text.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <sstream>
#include <stdexcept>

namespace bulkhead::test {
namespace {

class Line {
 public:
  explicit Line(const std::string& text) : text_(text) {}

  [[noreturn]] void wrong(const std::string& what) const {
    throw std::runtime_error(what + " in the line: " + text_);
  }
  bool next_is(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool ended() const { return at_ == text_.size(); }
  void take(char c) {
    if (!next_is(c)) wrong(std::string("no '") + c + "'");
    ++at_;
  }
  std::string name() {
    const std::size_t begin = at_;
    while (!ended() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 ||
                        text_[at_] == '_' || text_[at_] == ':')) {
      ++at_;
    }
    if (begin == at_ || std::isdigit(static_cast<unsigned char>(text_[begin])) != 0)
      wrong("no name");
    return text_.substr(begin, at_ - begin);
  }
  std::string quoted() {
    std::string value;
    for (take('"'); !next_is('"'); ++at_) {
      if (ended()) wrong("a value that does not end");
      if (!next_is('\\')) {
        value += text_[at_];
        continue;
      }
      ++at_;
      if (next_is('n'))
        value += '\n';
      else if (next_is('\\') || next_is('"'))
        value += text_[at_];
      else
        wrong("an unknown escape");
    }
    take('"');
    return value;
  }
  double number() {
    const std::string rest = text_.substr(at_);
    at_ = text_.size();
    if (rest == "+Inf") return std::numeric_limits<double>::infinity();
    double value = 0;
    const auto read = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (rest.empty() || read.ec != std::errc() || read.ptr != rest.data() + rest.size()) {
      wrong("no number");
    }
    return value;
  }

 private:
  const std::string& text_;
  std::size_t at_ = 0;
};

MetricSample read_sample(const std::string& text) {
  Line line(text);
  MetricSample sample;
  sample.name = line.name();
  if (line.next_is('{')) {
    line.take('{');
    while (!line.next_is('}')) {
      const std::string name = line.name();
      line.take('=');
      if (!sample.labels.emplace(name, line.quoted()).second) line.wrong("a label twice");
      if (!line.next_is('}')) line.take(',');
    }
    line.take('}');
  }
  line.take(' ');
  sample.value = line.number();
  return sample;
}

std::string family_of(const MetricSample& sample, const std::map<std::string, std::string>& types) {
  if (types.contains(sample.name)) return sample.name;
  for (const std::string part : {"_bucket", "_sum", "_count"}) {
    if (!sample.name.ends_with(part)) continue;
    const auto family = sample.name.substr(0, sample.name.size() - part.size());
    const auto type = types.find(family);
    if (type != types.end() && type->second == "histogram") return family;
  }
  throw std::runtime_error(sample.name + " has no type");
}

void check_histograms(const MetricsText& text) {
  std::map<std::pair<std::string, MetricLabels>, std::vector<std::pair<double, double>>> buckets;
  for (const auto& sample : text.samples) {
    if (!sample.name.ends_with("_bucket")) continue;
    auto labels = sample.labels;
    const std::string bound = labels.at("le");
    labels.erase("le");
    buckets[{sample.name.substr(0, sample.name.size() - 7), labels}].emplace_back(
        bound == "+Inf" ? std::numeric_limits<double>::infinity() : std::stod(bound), sample.value);
  }
  for (const auto& [series, list] : buckets) {
    const auto& [name, labels] = series;
    if (!std::is_sorted(list.begin(), list.end()))
      throw std::runtime_error(name + " is out of order");
    for (std::size_t i = 1; i < list.size(); ++i) {
      if (list[i].second < list[i - 1].second) throw std::runtime_error(name + ": buckets fall");
    }
    if (!std::isinf(list.back().first) ||
        list.back().second != text.value(name + "_count", labels)) {
      throw std::runtime_error(name + " does not end in its count");
    }
  }
}

bool bears(const MetricSample& sample, const std::string& name, const MetricLabels& labels) {
  return sample.name == name && std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
           const auto found = sample.labels.find(label.first);
           return found != sample.labels.end() && found->second == label.second;
         });
}

}  // namespace

std::size_t MetricsText::count(const std::string& name, const MetricLabels& labels) const {
  return static_cast<std::size_t>(
      std::count_if(samples.begin(), samples.end(),
                    [&](const auto& sample) { return bears(sample, name, labels); }));
}

double MetricsText::value(const std::string& name, const MetricLabels& labels) const {
  if (const auto found = count(name, labels); found != 1) {
    throw std::runtime_error(std::to_string(found) + " samples " + name);
  }
  return std::find_if(samples.begin(), samples.end(),
                      [&](const auto& sample) { return bears(sample, name, labels); })
      ->value;
}

MetricsText parse_metrics(const std::string& text) {
  if (!text.ends_with('\n')) throw std::runtime_error("the last line does not end");
  MetricsText metrics;
  std::set<std::pair<std::string, MetricLabels>> series;
  std::set<std::string> over;
  std::string family;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) continue;
    if (line.starts_with("# TYPE ")) {
      std::istringstream words(line.substr(7));
      std::string name, type;
      words >> name >> type;
      if (!std::set<std::string>{"counter", "gauge", "histogram"}.contains(type) ||
          !metrics.types.emplace(name, type).second) {
        throw std::runtime_error("a wrong or second type in the line: " + line);
      }
      if (type == "counter" && !name.ends_with("_total")) throw std::runtime_error(name);
      continue;
    }
    auto sample = read_sample(line);
    const auto belongs_to = family_of(sample, metrics.types);
    if (belongs_to != family) {
      over.insert(std::exchange(family, belongs_to));
      if (over.contains(family)) throw std::runtime_error(family + " in two places");
    }
    if (!series.emplace(sample.name, sample.labels).second) {
      throw std::runtime_error("a series twice: " + line);
    }
    metrics.samples.push_back(std::move(sample));
  }
  check_histograms(metrics);
  return metrics;
}

}  // namespace bulkhead::test
