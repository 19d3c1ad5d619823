// Looks up a price each time that it is given a list. Quoted in docs/guide-worker.md.
#include <bulkhead/worker.hpp>

#include <cstdio>
#include <cstring>
#include <optional>

#include "prices.hpp"

using namespace bulkhead;

namespace {

Result<void> print_price(const Prices& prices, const char* what) {
  const auto found = prices.find(what);
  if (found == prices.end()) return make_error(Errc::not_found, what);
  std::printf("%s: %.2f\n", what, found->second);
  std::fflush(stdout);
  return {};
}

Result<void> shop(Worker& self) {
  auto lists = self.channel("prices");
  if (!lists) return lists.error();
  self.ready();
  std::optional<Message> held;
  for (;;) {
    auto message = lists->receive(self.until_stop());
    if (!message) return self.ended(message.error());
    SealedTicket ticket;
    if (message->bytes().size() != sizeof ticket) continue;
    std::memcpy(&ticket, message->bytes().data(), sizeof ticket);
    auto memory = self.open_sealed(ticket, self.until_stop());
    if (!memory) return self.ended(memory.error());
    auto prices = Structure<Prices>::open(std::move(*memory));
    if (!prices) return prices.error();
    if (auto printed = print_price(**prices, "pear"); !printed) return printed;
    held = std::move(*message);  // not let go of before the next: a successor is given it again
  }
}

}  // namespace

int main(int argc, char** argv) { return Worker::run(argc, argv, shop); }
