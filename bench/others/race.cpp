#include "bench/others/race.hpp"

#include <unistd.h>

#include "bench/affinity.hpp"
#include "bench/baseline.hpp"
#include "bench/channel_contestant.hpp"
#include "bench/entrant.hpp"

namespace bulkhead::bench::others {
namespace {

struct Named {
  const char* peer;
  const char* transport;
  Started contestant;
};

std::vector<Named> start_all(Waiting waiting, Processors processors, std::size_t bytes) {
  const bool polls = waiting == Waiting::polling;
  const auto mode = polls ? WaitMode::spin : WaitMode::block;
  std::vector<Named> all;
  if (polls) {
    all.push_back({"bare", "cacheline", start_cacheline(processors)});
  } else {
    all.push_back({"bare", "futex", start_futex(processors, bytes)});
  }
  for (const Transport transport : {Transport::shm, Transport::unix_socket}) {
    all.push_back({"bulkhead", to_string(transport).data(),
                   start_channel(processors, transport, mode, bytes, Carry::copied)});
  }
  all.push_back({"posix mq", "mq", start_posix_queue(processors, bytes, waiting)});
  all.push_back(
      {"boost message_queue", "shm", start_interprocess_queue(processors, bytes, waiting)});
  all.push_back({"zeromq", "unix", start_zeromq(processors, bytes, waiting)});
  all.push_back({"nng", "unix", start_nng(processors, bytes, waiting)});
  all.push_back({"iceoryx", "shm", start_iceoryx(processors, bytes, waiting)});
  if (polls) return all;
  all.push_back({"cap'n proto", "unix", start_capnproto(processors, bytes)});
  all.push_back({"grpc", "unix", start_grpc(processors, bytes)});
  return all;
}

Result<RaceRow> row_of(const Named& named, const Entrant& entrant) {
  RaceRow row{named.peer, named.transport};
  row.mean_ns = entrant.mean_ns();
  row.cpu_percent = entrant.cpu_percent();
  Histogram histogram;
  if (auto sampled = (*named.contestant)->sample(entrant.samples(), histogram); !sampled) {
    return sampled.error();
  }
  const auto at = [&](double share) { return static_cast<double>(histogram.percentile(share)); };
  row.p50_ns = at(0.5);
  row.p99_ns = at(0.99);
  row.p999_ns = at(0.999);
  row.max_ns = static_cast<double>(histogram.max());
  row.n = histogram.count();
  return row;
}

}  // namespace

std::string own_name(const std::string& what, const char* direction) {
  return what + "-" + std::to_string(::getpid()) + "-" + direction;
}

Result<std::vector<RaceRow>> run_race(Waiting waiting, const RaceOptions& options) {
  const Affinity affinity;
  const auto processors = affinity.first_two();
  if (!processors) return processors.error();
  if (auto pinned = pin_to(processors->ping); !pinned) return pinned.error();
  const auto all = start_all(waiting, *processors, options.bytes);
  std::vector<Entrant> entrants;
  for (const Named& named : all) {
    if (!named.contestant) return named.contestant.error();
    entrants.emplace_back(**named.contestant, options.quick ? quick : thorough);
  }
  if (auto raced = race(entrants); !raced) return raced.error();
  std::vector<RaceRow> rows;
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto row = row_of(all[i], entrants[i]);
    if (!row) return row.error();
    rows.push_back(std::move(*row));
  }
  return rows;
}

}  // namespace bulkhead::bench::others
