// Makes a price list and hands it to everybody at the link "prices". Quoted in docs/guide-worker.md.
#include <bulkhead/worker.hpp>

#include <chrono>

#include "prices.hpp"

using namespace bulkhead;

namespace {

Result<SealedBuffer> make_prices() {
  return build_structure<Prices>("prices", std::size_t{1} << 20, [](Prices& prices, auto memory) {
    prices.emplace(Text("apple", memory), 0.80);
    prices.emplace(Text("pear", memory), 1.20);
  });
}

// The one that a predecessor has published, or a new one.
Result<SealedTicket> publish_prices(Worker& self) {
  auto known = self.published(self.until_stop());
  if (!known) return known.error();
  if (!known->empty()) return known->back();
  auto prices = make_prices();
  if (!prices) return prices.error();
  return self.publish(*prices, self.until_stop());
}

Result<void> offer(Worker& self) {
  auto readers = self.channels("prices");
  if (!readers) return readers.error();
  const auto ticket = publish_prices(self);
  if (!ticket) return self.ended(ticket.error());
  for (auto& reader : *readers) {
    auto sent = reader.send(std::as_bytes(std::span(&*ticket, 1)), self.until_stop());
    if (!sent) return self.ended(sent.error());
  }
  self.ready();
  return self.pause(std::chrono::hours(24));
}

}  // namespace

int main(int argc, char** argv) { return Worker::run(argc, argv, offer); }
