// What a pool and its worker say to each other over their channel, and what rides on the socket beside it. Both ends
// are one binary, so structures travel as they are; a worker that has gone mad is still not believed: the owner checks
// what it reads. Used by seats and by the worker process.
#pragma once

#include <bulkhead/future.hpp>
#include <bulkhead/rpc.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/fd.hpp"

namespace bulkhead::pool {

// Longer bodies go in sealed memory, by descriptor.
inline constexpr std::size_t inline_body_max = std::size_t{32} << 10;
inline constexpr std::size_t channel_capacity = std::size_t{256} << 10;
inline constexpr std::size_t channel_message_max = std::size_t{64} << 10;

// From the owner. The body follows, or lies in an attachment.
struct Order {
  enum class Kind : std::uint32_t {
    call = 1,
    range = 2,
    retire = 3,
    discard = 4,  // attachments of an order that could not be sent
  };
  Kind kind = Kind::call;
  std::uint32_t function = 0;
  std::uint64_t task = 0;
  std::uint64_t body = 0;          // the number of the attachment that is the body; 0: it follows
  std::uint64_t ledger = 0;        // range: the number of the attachment that is the ledger
  std::uint32_t attachments = 0;   // how many were sent ahead on the socket
  std::uint32_t slot = 0;          // range: ours in the ledger
  std::uint32_t open = 0;          // range: 1: claims chunks, 0: works off its slot
  std::uint32_t offer = no_offer;  // call: where it is offered
  static constexpr std::uint32_t no_offer = UINT32_MAX;
};

// From the worker; likewise.
struct Report {
  enum class Kind : std::uint32_t {
    value = 1,       // of the task
    failure = 2,     // of the task: a packed failure
    item_value = 3,  // of an item
    item_failure = 4,
    range_end = 5,  // no more items for us
  };
  Kind kind = Kind::value;
  std::uint32_t item = 0;
  std::uint64_t task = 0;
  std::uint64_t body = 0;
  std::uint64_t attachments = 0;
};
static_assert(std::is_trivially_copyable_v<Order> && std::is_trivially_copyable_v<Report>);

template <class Head>
std::optional<std::pair<Head, std::span<const std::byte>>> split(
    std::span<const std::byte> message) noexcept {
  if (message.size() < sizeof(Head)) return std::nullopt;
  Head head;
  std::memcpy(static_cast<void*>(&head), message.data(), sizeof head);
  return std::pair{head, message.subspan(sizeof head)};
}

// A body may name so many: the socket holds about 270 of them, and nobody takes them before the message that names them.
inline constexpr std::size_t attachments_max = 128;
Result<void> check_attachments(std::size_t count);  // Errors: out_of_budget

// On the socket: a descriptor with its number. The worker's first is its segment, number 0. Errors: would_block, if not
// `wait`; of the system.
Result<void> send_attachment(int socket, std::uint64_t number, int fd, bool wait);
struct Arrival {
  std::uint64_t number = 0;
  base::UniqueFd fd;
};
// nullopt: there is none now. Errors: closed; protocol_violation for what is no attachment.
Result<std::optional<Arrival>> take_attachment(int socket, bool wait);

// The exception that is being handled, as bytes; and what bytes say. What cannot be read is a failure that says so.
Bytes pack_current_exception() noexcept;
TaskFailure unpack_failure_report(std::span<const std::byte>);

// Calls that may be on the way to one worker, so that it need not wait for the next.
inline constexpr std::size_t offers_max = 16;

// One page that owner and worker share. A call is run by who sets its offer to 0: its worker, which then runs it, or
// the owner, which then has it back. Numbers of tasks never repeat, so an order that is read late finds another's
// number, or none, and is passed over.
struct SeatPage {
  std::array<std::atomic<std::uint64_t>, offers_max> offers;
  std::atomic<std::uint64_t> running;    // the task under way; 0: none
  std::atomic<std::uint64_t> stop;       // the task that should end soon; 0: none
  std::atomic<std::uint64_t> stop_item;  // of a range: its item + 1; 0: all of it
};
inline constexpr std::size_t seat_page_bytes = 4096;

}  // namespace bulkhead::pool
