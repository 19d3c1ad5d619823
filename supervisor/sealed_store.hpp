// The sealed buffers that workers published: kept by the keeper, handed to whoever has a ticket. Used by the
// worker desk; knows no message and never looks into a buffer.
#pragma once

#include <bulkhead/sealed.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "base/fd.hpp"
#include "supervisor/core.hpp"
#include "supervisor/keeper_client.hpp"

namespace bulkhead::supervisor {

// Threads: the brain's loop. A buffer belongs to the instance that published it, over all of its
// incarnations, and goes when that instance withdraws it or the system ends.
// After a crash of the brain: restore() finds what the keeper has.
class SealedStore {
 public:
  // Each is a descriptor of the keeper, of every brain and of nobody else. All of them together get half of what
  // `pairs` pairs of links and all instances leave, so that whoever comes to life again finds room.
  static constexpr std::size_t buffers_max = 256;  // of one instance

  SealedStore(const Plan&, std::size_t pairs, KeeperClient&);
  void restore();

  // What the keeper holds is kept: whoever dies, it is there. The same again is no error.
  // Errors: protocol_violation for memory that is not sealed, or not of the ticket's size; already_exists for
  //   a number that another buffer has; out_of_budget beyond buffers_max, or beyond what all may have.
  Result<void> keep(Slot owner, SealedTicket, base::UniqueFd memory);
  // Borrowed. Errors: not_found.
  Result<int> find(SealedTicket) const;
  // Errors: not_permitted for another instance's. What is not there any more is dropped already.
  Result<void> drop(Slot owner, SealedTicket);
  std::vector<SealedTicket> of(Slot owner) const;  // oldest first

 private:
  struct Entry {
    Slot owner;
    std::uint64_t bytes;
    std::uint64_t order;
    base::UniqueFd memory;
  };
  std::string tag(std::uint64_t number, const Entry&) const;

  const Plan& plan_;
  KeeperClient& keeper_;
  const std::size_t all_max_;
  std::map<std::uint64_t, Entry> entries_;  // by the ticket's number
  std::uint64_t next_order_ = 0;
};

}  // namespace bulkhead::supervisor
