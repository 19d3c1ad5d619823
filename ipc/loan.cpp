#include <bulkhead/loan.hpp>

#include <new>
#include <utility>

#include "ipc/endpoint.hpp"

namespace bulkhead {

Loan::Loan(std::shared_ptr<ipc::Endpoint> endpoint, std::span<std::byte> bytes,
           std::uint64_t token) noexcept
    : endpoint_(std::move(endpoint)), bytes_(bytes), token_(token) {}

Loan::Loan(Loan&& other) noexcept
    : endpoint_(std::move(other.endpoint_)),
      bytes_(std::exchange(other.bytes_, {})),
      token_(other.token_) {}

Loan& Loan::operator=(Loan&& other) noexcept {
  if (this != &other) {
    abandon();
    endpoint_ = std::move(other.endpoint_);
    bytes_ = std::exchange(other.bytes_, {});
    token_ = other.token_;
  }
  return *this;
}

Loan::~Loan() { abandon(); }

void Loan::shrink(std::size_t bytes) noexcept {
  if (bytes < bytes_.size()) bytes_ = bytes_.first(bytes);
}

Result<void> Loan::commit(Deadline deadline) {
  if (!endpoint_) return make_error(Errc::invalid_argument, "this loan was committed before");
  if (auto sent = endpoint_->commit({bytes_, token_}, deadline); !sent) return sent;
  endpoint_.reset();
  bytes_ = {};
  return {};
}

void Loan::abandon() noexcept {
  if (!endpoint_) return;
  endpoint_->abandon({bytes_, token_});
  endpoint_.reset();
  bytes_ = {};
}

namespace ipc {
namespace {

constexpr std::align_val_t loan_alignment{64};

}  // namespace

// A transport without memory of its own lends from the heap, and copies.
Result<Endpoint::Lent> Endpoint::lend(std::size_t bytes, Deadline) {
  if (const auto most = spec().options.max_message; bytes > most) {
    return make_error(Errc::message_too_big, spec().link + ": " + std::to_string(bytes) +
                                                 " bytes, max_message is " + std::to_string(most));
  }
  auto* const memory = ::operator new(bytes, loan_alignment, std::nothrow);
  if (memory == nullptr) {
    return make_error(Errc::out_of_budget,
                      spec().link + ": no memory for " + std::to_string(bytes) + " bytes");
  }
  return Lent{{static_cast<std::byte*>(memory), bytes}, reinterpret_cast<std::uintptr_t>(memory)};
}

Result<void> Endpoint::commit(const Lent& lent, Deadline deadline) {
  auto sent = send(lent.bytes, deadline);
  if (sent) abandon(lent);
  return sent;
}

void Endpoint::abandon(const Lent& lent) noexcept {
  ::operator delete(reinterpret_cast<void*>(lent.token), loan_alignment);
}

}  // namespace ipc
}  // namespace bulkhead
