#include "bench/throughput.hpp"

#include <bulkhead/channel.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/clock.hpp"
#include "bench/affinity.hpp"
#include "bench/channel_contestant.hpp"
#include "bench/echo_process.hpp"
#include "bench/machine.hpp"
#include "bench/shared_pages.hpp"
#include "bench/spsc_ring.hpp"

namespace bulkhead::bench {
namespace {

constexpr std::size_t all_sizes[] = {8, 56, 1024, 16384};
constexpr int rounds = 15;

// A stream is a class with put() and get(), called in two processes, and enter_source/enter_drain as a
// contestant's enter_*.
class LaneStream {
 public:
  LaneStream(std::pair<Channel, Channel> pair, std::size_t bytes)
      : source_(std::move(pair.first)), drain_(std::move(pair.second)), message_(bytes) {}
  bool put() { return source_->send(message_).has_value(); }
  bool get() {
    const auto message = drain_->receive();
    return message && message->bytes().size() == message_.size();
  }
  void enter_source() { drain_.reset(); }
  void enter_drain() { source_.reset(); }

 private:
  std::optional<Channel> source_, drain_;
  std::vector<std::byte> message_;
};

class BareStream {
 public:
  BareStream(std::unique_ptr<SharedPages> pages, std::size_t bytes)
      : pages_(std::move(pages)), ring_(pages_->data(), bytes), message_(bytes) {}
  bool put() noexcept {
    ring_.put(message_.data());
    return true;
  }
  bool get() noexcept {
    ring_.get(message_.data());
    return true;
  }
  void enter_source() noexcept {}
  void enter_drain() noexcept {}

 private:
  std::unique_ptr<SharedPages> pages_;
  SpscRing ring_;
  std::vector<std::byte> message_;
};

template <class Stream>
class Runner {
 public:
  static Result<Runner> start(std::unique_ptr<Stream> stream, int cpu) {
    Stream& shared = *stream;
    auto drain = EchoProcess::start(cpu, {[&shared] { shared.enter_drain(); },
                                          [&shared](std::uint64_t count) {
                                            while (count > 0 && shared.get()) --count;
                                            return count == 0;
                                          },
                                          [] { return std::uint64_t{0}; }});
    if (!drain) return drain.error();
    stream->enter_source();
    return Runner(std::move(stream), std::move(*drain));
  }

  // Messages per second, from the first put to the drain's word that it has the last one.
  Result<double> run(std::uint64_t count) {
    const std::uint64_t start = base::monotonic_ns();
    if (auto begun = drain_->begin(count); !begun) return begun.error();
    for (std::uint64_t i = 0; i < count; ++i) {
      if (!stream_->put()) return make_error(Errc::peer_died, "a stream of the benchmark");
    }
    if (const auto drained = drain_->finish(); !drained) return drained.error();
    return static_cast<double>(count) * 1e9 / static_cast<double>(base::monotonic_ns() - start);
  }

 private:
  Runner(std::unique_ptr<Stream> stream, std::unique_ptr<EchoProcess> drain)
      : stream_(std::move(stream)), drain_(std::move(drain)) {}

  std::unique_ptr<Stream> stream_;
  std::unique_ptr<EchoProcess> drain_;  // goes first
};

Result<ThroughputRow> measure(std::size_t size, Processors processors, bool quick) {
  auto pair = connected_pair(Transport::shm, options_for(size, WaitMode::spin));
  if (!pair) return pair.error();
  auto ours = Runner<LaneStream>::start(std::make_unique<LaneStream>(std::move(*pair), size),
                                        processors.echo);
  if (!ours) return ours.error();
  auto pages = SharedPages::map(SpscRing::bytes_for(size));
  if (!pages) return pages.error();
  auto bare = Runner<BareStream>::start(std::make_unique<BareStream>(std::move(*pages), size),
                                        processors.echo);
  if (!bare) return bare.error();
  // As many bytes a round whatever the size, within reason.
  const std::uint64_t budget = quick ? 8'000'000 : 80'000'000;
  const std::uint64_t count = std::clamp<std::uint64_t>(budget / (size + 64), 2000, 1'000'000);
  std::vector<double> us, them;
  for (int round = -1; round < rounds; ++round) {  // the first one warms up
    const auto our_rate = ours->run(count);
    if (!our_rate) return our_rate.error();
    const auto their_rate = bare->run(count);
    if (!their_rate) return their_rate.error();
    if (round < 0) continue;
    us.push_back(*our_rate);
    them.push_back(*their_rate);
  }
  ThroughputRow row;
  row.size = size;
  row.messages_per_s = percentile(us, 0.5);
  row.bytes_per_s = row.messages_per_s * static_cast<double>(size);
  row.baseline_messages_per_s = percentile(them, 0.5);
  row.ratio = row.messages_per_s / row.baseline_messages_per_s;
  return row;
}

}  // namespace

Result<std::vector<ThroughputRow>> run_throughput(const ThroughputOptions& options) {
  const Affinity affinity;
  const auto processors = affinity.first_two();
  if (!processors) return processors.error();
  if (auto pinned = pin_to(processors->ping); !pinned) return pinned.error();
  const auto sizes = options.sizes.empty() ? std::vector(std::begin(all_sizes), std::end(all_sizes))
                                           : options.sizes;
  std::vector<ThroughputRow> rows;
  for (const std::size_t size : sizes) {
    auto row = measure(size, *processors, options.quick);
    if (!row) return row.error();
    rows.push_back(std::move(*row));
  }
  return rows;
}

nlohmann::json to_json(const std::vector<ThroughputRow>& rows) {
  auto array = nlohmann::json::array();
  for (const auto& row : rows) {
    array.push_back({{"bench", "throughput"},
                     {"transport", "shm"},
                     {"mode", "spin"},
                     {"size", row.size},
                     {"batch", false},
                     {"messages_per_s", row.messages_per_s},
                     {"bytes_per_s", row.bytes_per_s},
                     {"baseline", row.baseline},
                     {"baseline_messages_per_s", row.baseline_messages_per_s},
                     {"ratio", row.ratio},
                     {"peer", "bulkhead"}});
  }
  return array;
}

void print_table(const std::vector<ThroughputRow>& rows) {
  std::printf("%-9s %-8s %7s %12s %10s %6s  %s\n", "transport", "mode", "bytes", "messages/s",
              "bytes/s", "ratio", "to the bare");
  for (const auto& row : rows) {
    std::printf("%-9s %-8s %7zu %10.2f M %7.2f GB %6.2f  %s, %.2f M\n", "shm", "spin", row.size,
                row.messages_per_s / 1e6, row.bytes_per_s / 1e9, row.ratio, row.baseline.c_str(),
                row.baseline_messages_per_s / 1e6);
  }
  std::fflush(stdout);
}

}  // namespace bulkhead::bench
