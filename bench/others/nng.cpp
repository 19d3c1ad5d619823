// nng: a pair0 socket at each end of ipc://.
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <unistd.h>

#include <vector>

#include "bench/others/one_way.hpp"
#include "bench/others/peers.hpp"
#include "ipc/wake.hpp"

namespace bulkhead::bench::others {
namespace {

constexpr int depth = 1000;  // messages, as ZeroMQ has by default

class Nng {
 public:
  Nng(std::size_t bytes, Waiting waiting)
      : message_(bytes), waiting_(waiting), path_(own_name("/tmp/bulkhead-bench-nng", "pair")) {}
  ~Nng() {
    if (is_open_) nng_close(socket_);
  }
  Nng(const Nng&) = delete;
  Nng& operator=(const Nng&) = delete;

  void enter_echo() {
    is_open_ = open() && nng_listen(socket_, address().c_str(), nullptr, 0) == 0;
  }
  // Without the flag the first dial fails when nobody listens yet.
  void enter_ping() {
    is_open_ = open() && nng_dial(socket_, address().c_str(), nullptr, NNG_FLAG_NONBLOCK) == 0;
  }
  bool put() { return send(); }
  bool get() { return receive(); }
  bool ping() { return send() && receive(); }
  bool pong() { return receive() && send(); }
  static std::uint64_t syscalls() { return 0; }

 private:
  // By default it has room for no message: each would wait for the one before.
  bool open() {
    return nng_pair0_open(&socket_) == 0 &&
           nng_socket_set_int(socket_, NNG_OPT_SENDBUF, depth) == 0 &&
           nng_socket_set_int(socket_, NNG_OPT_RECVBUF, depth) == 0;
  }
  std::string address() const { return "ipc://" + path_; }
  bool send() { return is_open_ && nng_send(socket_, message_.data(), message_.size(), 0) == 0; }
  bool receive() {
    if (!is_open_) return false;
    const int flags = waiting_ == Waiting::polling ? NNG_FLAG_NONBLOCK : 0;
    for (;;) {
      std::size_t size = message_.size();
      const int error = nng_recv(socket_, message_.data(), &size, flags);
      if (error == 0) return size == message_.size();
      if (error != NNG_EAGAIN) return false;
      ipc::cpu_pause();
    }
  }

  std::vector<std::byte> message_;
  const Waiting waiting_;
  const std::string path_;
  nng_socket socket_{};
  bool is_open_ = false;
};

}  // namespace

Started start_nng(Processors processors, std::size_t bytes, Waiting waiting) {
  return MeasuredContestant<Nng>::start(std::make_unique<Nng>(bytes, waiting), processors.echo);
}

StartedStream stream_nng(Processors processors, std::size_t bytes) {
  return start_one_way(std::make_unique<Nng>(bytes, Waiting::blocking), processors);
}

}  // namespace bulkhead::bench::others
