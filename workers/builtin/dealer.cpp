#include "workers/builtin/dealer.hpp"

#include <chrono>
#include <cstdio>
#include <system_error>

#include "workers/builtin/deal_ledger.hpp"

namespace bulkhead::workers {
namespace {

class Dealer {
 public:
  Dealer(Worker& self, std::vector<Channel>& crunchers, const std::vector<Job>& jobs,
         std::uint64_t round, std::uint64_t in_flight)
      : self_(self),
        crunchers_(crunchers),
        jobs_(jobs),
        round_(round),
        ledger_(jobs.size(), crunchers.size(), in_flight),
        epochs_(crunchers.size(), 0) {
    for (auto& channel : crunchers) waiting_.push_back(&channel);
  }

  Result<Dealt> run() {
    std::size_t turn = 0;
    while (!ledger_.finished()) {
      for (std::size_t cruncher = 0; cruncher < crunchers_.size(); ++cruncher) {
        if (auto fed = feed(cruncher); !fed) return fed.error();
      }
      const auto first = wait_any(waiting_, self_.until_stop(std::chrono::seconds(1)), &turn);
      if (!first && first.error().is(Errc::timed_out)) continue;
      if (!first) return first.error();
      if (auto drained = drain(crunchers_[*first]); !drained) return drained.error();
      report();
    }
    return std::move(dealt_);
  }

 private:
  Result<void> feed(std::size_t cruncher) {
    auto& channel = crunchers_[cruncher];
    if (const auto epoch = channel.epoch(); epoch != epochs_[cruncher]) {
      if (epochs_[cruncher] != 0) ledger_.replaced(cruncher);
      epochs_[cruncher] = epoch;
    }
    while (const auto job = ledger_.deal_to(cruncher)) {
      const auto sent = channel.try_send(encode(jobs_[*job]));
      if (sent) continue;
      ledger_.take_back(cruncher, *job);
      if (sent.error().is(Errc::would_block)) return {};
      return sent.error();
    }
    return {};
  }

  Result<void> drain(Channel& channel) {
    for (;;) {
      auto message = channel.try_receive();
      if (!message) return message.error();
      if (!message->has_value()) return {};
      take((*message)->bytes());
    }
  }

  // What a predecessor of ours had asked for, and what came before, is known by its id.
  void take(std::span<const std::byte> bytes) {
    const auto result = decode_result(bytes);
    if (!result) {
      std::fprintf(stderr, "splitter: %s\n", result.error().to_string().c_str());
      return;
    }
    const auto number = result->id.number;
    if (result->id.round != round_ || !ledger_.take_part(number, result->part, result->parts))
      return;
    dealt_.count.merge(result->count);
    for (const auto& [piece, error_number] : result->failures) {
      const auto& pieces = jobs_[number].pieces;
      if (piece >= pieces.size()) continue;
      dealt_.failed.push_back({pieces[piece].path, std::generic_category().message(error_number)});
    }
  }

  void report() {
    if (ledger_.done() * 10 / ledger_.size() == reported_) return;
    reported_ = ledger_.done() * 10 / ledger_.size();
    self_.status("round=" + std::to_string(round_ & 0xffffffff) +
                 " jobs=" + std::to_string(ledger_.done()) + "/" + std::to_string(ledger_.size()));
  }

  Worker& self_;
  std::vector<Channel>& crunchers_;
  const std::vector<Job>& jobs_;
  const std::uint64_t round_;
  DealLedger ledger_;
  std::vector<std::uint16_t> epochs_;
  std::vector<Channel*> waiting_;
  std::size_t reported_ = 0;  // tenths
  Dealt dealt_;
};

}  // namespace

Result<Dealt> deal(Worker& self, std::vector<Channel>& crunchers, const std::vector<Job>& jobs,
                   std::uint64_t round, std::uint64_t in_flight) {
  return Dealer(self, crunchers, jobs, round, in_flight).run();
}

}  // namespace bulkhead::workers
