#include "supervisor/ready_pipes.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>

namespace bulkhead::supervisor {
namespace {

// At most so much of a worker's words at a time; a pipe takes it whole.
constexpr std::size_t chunk_bytes = 4096;

// A copy of what lies in the pipe; what was copied is still there. Errors: would_block.
Result<std::string> look_into(int pipe) {
  auto copy = base::make_pipe();
  if (!copy) return copy.error();
  const ssize_t n = ::tee(pipe, copy->second.get(), chunk_bytes, SPLICE_F_NONBLOCK);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return make_error(Errc::would_block, "nothing there");
  if (n < 0) return errno_error(errno, "look into the pipe of a readiness descriptor");
  std::array<char, chunk_bytes> chunk;
  const ssize_t got = n == 0 ? 0 : ::read(copy->first.get(), chunk.data(), chunk.size());
  if (got < 0) return errno_error(errno, "read a readiness descriptor");
  return std::string(chunk.data(), static_cast<std::size_t>(got));
}

}  // namespace

ReadyPipes::ReadyPipes(boost::asio::io_context& io, const Plan& plan, KeeperClient& keeper,
                       Callbacks callbacks)
    : io_(io), plan_(plan), keeper_(keeper), callbacks_(std::move(callbacks)) {}

Result<base::UniqueFd> ReadyPipes::open(Slot slot) {
  close(slot);
  auto pipe = base::make_pipe();
  if (!pipe) return pipe.error();
  auto kept = keeper_.put("ready/" + plan_.instances[slot].name, pipe->first.get());
  if (!kept) return kept.error();
  listen(slot, std::move(pipe->first));
  return std::move(pipe->second);
}

void ReadyPipes::adopt(Slot slot) {
  auto kept = keeper_.take("ready/" + plan_.instances[slot].name);
  if (kept.is_open()) listen(slot, std::move(kept));
}

void ReadyPipes::listen(Slot slot, base::UniqueFd pipe) {
  pipes_.erase(slot);
  pipes_.emplace(slot, Pipe{boost::asio::posix::stream_descriptor(io_, pipe.release()), ++opened_});
  look(slot);
}

void ReadyPipes::look(Slot slot) {
  auto& [end, number] = pipes_.at(slot);
  end.async_wait(end.wait_read, [this, slot, number = number](const auto& error) {
    const auto known = pipes_.find(slot);
    if (error || known == pipes_.end() || known->second.number != number) return;
    if (take(slot)) return look(slot);
    close(slot);
  });
}

// Told first, consumed afterwards: what kills us in between leaves the newline to our successor.
bool ReadyPipes::take(Slot slot) {
  const int pipe = pipes_.at(slot).end.native_handle();
  const auto text = look_into(pipe);
  if (!text) {
    if (text.error().is(Errc::would_block)) return true;
    callbacks_.violated(slot, text.error());
    return false;
  }
  if (text->find('\n') != text->npos) {
    callbacks_.ready(slot);
    return false;
  }
  if (text->empty()) {
    callbacks_.violated(
        slot, make_error(Errc::protocol_violation,
                         "its readiness descriptor was closed without a newline, so that it "
                         "will not become ready (write one, or set another type of ready)"));
    return false;
  }
  std::array<char, chunk_bytes> skipped;
  return ::read(pipe, skipped.data(), text->size()) >= 0;
}

void ReadyPipes::died(Slot slot) {
  const auto found = pipes_.find(slot);
  if (found == pipes_.end()) return;
  const auto text = look_into(found->second.end.native_handle());
  if (text && text->find('\n') != text->npos) callbacks_.ready(slot);
  close(slot);
}

void ReadyPipes::close(Slot slot) {
  if (pipes_.erase(slot) == 0) return;
  (void)keeper_.drop("ready/" + plan_.instances[slot].name);  // fails only when the keeper is gone
}

}  // namespace bulkhead::supervisor
