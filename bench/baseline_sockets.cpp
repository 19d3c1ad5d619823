// The bare mechanisms through the kernel: blocking reads and writes of whole messages.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "bench/baseline.hpp"
#include "ipc/endpoint.hpp"

namespace bulkhead::bench {
namespace {

// Two ends of one or two descriptors each: read from the first, written to the last.
class BareDescriptors {
 public:
  // A packet must fit into the socket's buffer at once; a stream takes what it can.
  BareDescriptors(ipc::SocketEnds ends, std::size_t bytes, std::size_t piece_max)
      : ends_(std::move(ends)), message_(bytes), piece_max_(piece_max), own_(&ends_.from) {}

  bool ping() noexcept { return write_all() && read_all(); }
  bool pong() noexcept { return read_all() && write_all(); }
  void enter_echo() noexcept {
    own_ = &ends_.to;
    ends_.from.clear();
  }
  void enter_ping() noexcept { ends_.to.clear(); }
  std::uint64_t syscalls() const noexcept { return calls_; }

 private:
  bool write_all() noexcept {
    for (std::size_t done = 0; done < message_.size();) {
      ++calls_;
      const std::size_t piece = std::min(message_.size() - done, piece_max_);
      const ssize_t n = ::write(own_->back().get(), message_.data() + done, piece);
      if (n <= 0) return false;
      done += static_cast<std::size_t>(n);
    }
    return true;
  }
  bool read_all() noexcept {
    for (std::size_t done = 0; done < message_.size();) {
      ++calls_;
      const ssize_t n = ::read(own_->front().get(), message_.data() + done, message_.size() - done);
      if (n <= 0) return false;
      done += static_cast<std::size_t>(n);
    }
    return true;
  }

  ipc::SocketEnds ends_;
  std::vector<std::byte> message_;
  const std::size_t piece_max_;
  std::vector<base::UniqueFd>* own_;
  std::uint64_t calls_ = 0;
};

Result<std::unique_ptr<Contestant>> start_bare(Transport transport, Processors processors,
                                               std::size_t bytes) {
  auto ends = ipc::make_sockets(transport);
  if (!ends) return ends.error();
  for (auto* fds : {&ends->from, &ends->to}) fds->pop_back();  // the doorbell is no part of it
  if (transport == Transport::tcp) {
    const int on = 1;
    for (const auto* fds : {&ends->from, &ends->to}) {
      if (::setsockopt(fds->front().get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
        return errno_error(errno, "set TCP_NODELAY on a baseline's socket");
      }
    }
  }
  const std::size_t piece_max = transport == Transport::unix_socket ? std::size_t{64} << 10 : bytes;
  return MeasuredContestant<BareDescriptors>::start(
      std::make_unique<BareDescriptors>(std::move(*ends), bytes, piece_max), processors.echo);
}

}  // namespace

Result<std::unique_ptr<Contestant>> start_pipe(Processors processors, std::size_t bytes) {
  return start_bare(Transport::pipe, processors, bytes);
}
Result<std::unique_ptr<Contestant>> start_unix(Processors processors, std::size_t bytes) {
  return start_bare(Transport::unix_socket, processors, bytes);
}
Result<std::unique_ptr<Contestant>> start_tcp(Processors processors, std::size_t bytes) {
  return start_bare(Transport::tcp, processors, bytes);
}

}  // namespace bulkhead::bench
