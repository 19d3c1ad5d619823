// Workers that publish sealed buffers, for tests alone: "rules" tries what is allowed and what is not, "owner"
// hands out a ticket, "churn" publishes and withdraws without pause, "hoard" publishes what it may. Started by sealed_system_test.
#include <bulkhead/worker.hpp>

#include <chrono>
#include <cstring>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>

namespace {

using namespace bulkhead;

constexpr std::size_t buffers_max = 256;

Result<SealedTicket> publish(Worker& self, const std::string& text) {
  const auto buffer = SealedBuffer::copy_of("churn", std::as_bytes(std::span(text)));
  if (!buffer) return buffer.error();
  return self.publish(*buffer, self.until_stop());
}

// The first thing that is not as it should be.
struct Findings {
  std::string text;
  void expect(bool holds, const std::string& what) {
    if (!holds && text.empty()) text = what;
  }
  template <class T>
  void expect_error(const Result<T>& result, Errc errc, const std::string& what) {
    expect(!result && result.error().is(errc),
           what + (result ? ": no error" : ": " + result.error().to_string()));
  }
};

void try_the_limit(Worker& self, Findings& found) {
  std::deque<SealedTicket> mine;
  for (std::size_t i = 0; i < buffers_max; ++i) {
    const auto ticket = publish(self, "buffer " + std::to_string(i));
    if (!ticket) return found.expect(false, ticket.error().to_string());
    mine.push_back(*ticket);
  }
  found.expect_error(publish(self, "one too many"), Errc::out_of_budget,
                     "publish beyond the limit");
  const auto list = self.published(self.until_stop());
  found.expect(list && std::equal(list->begin(), list->end(), mine.begin(), mine.end()),
               "published() tells all of them, in order");
  const auto last = self.open_sealed(mine.back(), self.until_stop());
  found.expect(last && last->bytes().size() == mine.back().bytes &&
                   std::memcmp(last->bytes().data(), "buffer 255", 10) == 0,
               "a buffer is what was published");
  for (const auto& ticket : mine) {
    found.expect(self.withdraw(ticket, self.until_stop()).has_value(), "withdraw");
    found.expect(self.withdraw(ticket, self.until_stop()).has_value(), "withdraw once more");
    found.expect_error(self.open_sealed(ticket, self.until_stop()), Errc::not_found,
                       "open what was withdrawn");
  }
  found.expect(last && std::memcmp(last->bytes().data(), "buffer 255", 10) == 0,
               "who has a buffer keeps it");
  found.expect(publish(self, "there is room again").has_value(), "publish after withdrawals");
}

void try_anothers(Worker& self, SealedTicket ticket, Findings& found) {
  found.expect(self.open_sealed(ticket, self.until_stop()).has_value(), "open another's");
  found.expect_error(self.withdraw(ticket, self.until_stop()), Errc::not_permitted,
                     "withdraw another's");
  found.expect_error(self.open_sealed({ticket.number + 1, ticket.bytes}, self.until_stop()),
                     Errc::not_found, "open an invented number");
  found.expect_error(self.open_sealed({ticket.number, ticket.bytes + 1}, self.until_stop()),
                     Errc::not_found, "open with an invented size");
}

Result<void> rules(Worker& self) {
  auto tickets = self.channel("tickets");
  if (!tickets) return tickets.error();
  self.ready();
  auto message = tickets->receive(self.until_stop());
  if (!message) return self.ended(message.error());
  SealedTicket ticket;
  std::memcpy(&ticket, message->bytes().data(), sizeof ticket);
  Findings found;
  try_anothers(self, ticket, found);
  try_the_limit(self, found);
  self.status(found.text.empty() ? "all rules hold" : found.text);
  return self.pause(std::chrono::hours(1));
}

Result<void> owner(Worker& self) {
  auto tickets = self.channel("tickets");
  if (!tickets) return tickets.error();
  const auto ticket = publish(self, "the owner's");
  if (!ticket) return self.ended(ticket.error());
  auto sent = tickets->send(std::as_bytes(std::span(&*ticket, 1)), self.until_stop());
  if (!sent) return self.ended(sent.error());
  self.ready();
  return self.pause(std::chrono::hours(1));
}

Result<void> withdraw_all(Worker& self, Deadline deadline) {
  const auto published = self.published(deadline);
  if (!published) return published.error();
  for (const auto& ticket : *published) {
    if (auto done = self.withdraw(ticket, deadline); !done) return done;
  }
  return {};
}

// As many as it is given.
Result<void> hoard(Worker& self) {
  self.ready();
  for (std::size_t count = 0;; ++count) {
    const auto ticket = publish(self, "hoarded");
    if (ticket) continue;
    if (!ticket.error().is(Errc::out_of_budget)) return self.ended(ticket.error());
    self.status("refused after " + std::to_string(count));
    return self.pause(std::chrono::hours(1));
  }
}

Result<void> churn(Worker& self) {
  if (auto done = withdraw_all(self, self.until_stop()); !done) return self.ended(done.error());
  self.ready();
  std::deque<SealedTicket> mine;
  for (std::uint64_t round = 1; !self.stopping(); ++round) {
    const auto ticket = publish(self, "round " + std::to_string(round));
    if (!ticket && !ticket.error().is(Errc::stopped)) return ticket.error();
    if (!ticket) break;
    mine.push_back(*ticket);
    if (mine.size() > 8) {
      const auto done = self.withdraw(mine.front(), self.until_stop());
      if (!done && !done.error().is(Errc::stopped)) return done;
      mine.pop_front();
    }
    if (round % 16 == 0) self.status("round " + std::to_string(round));
  }
  return withdraw_all(self, Deadline::in(std::chrono::seconds(5)));
}

}  // namespace

int main(int argc, char** argv) {
  return Worker::run(argc, argv, [](Worker& self) -> Result<void> {
    const auto& role = self.arguments().at(0);
    if (role == "rules") return rules(self);
    if (role == "owner") return owner(self);
    if (role == "churn") return churn(self);
    if (role == "hoard") return hoard(self);
    return make_error(Errc::invalid_argument, role);
  });
}
