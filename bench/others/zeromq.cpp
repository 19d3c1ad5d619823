// ZeroMQ: a PAIR socket at each end of ipc://.
#include <unistd.h>
#include <zmq.h>

#include <cerrno>
#include <vector>

#include "bench/others/one_way.hpp"
#include "bench/others/peers.hpp"
#include "ipc/wake.hpp"

namespace bulkhead::bench::others {
namespace {

class ZeroMq {
 public:
  ZeroMq(std::size_t bytes, Waiting waiting)
      : message_(bytes), waiting_(waiting), path_(own_name("/tmp/bulkhead-bench-zmq", "pair")) {}
  ~ZeroMq() {
    if (socket_ == nullptr) return;
    zmq_close(socket_);
    zmq_ctx_term(context_);
    ::unlink(path_.c_str());
  }
  ZeroMq(const ZeroMq&) = delete;
  ZeroMq& operator=(const ZeroMq&) = delete;

  void enter_echo() { open(zmq_bind); }
  void enter_ping() { open(zmq_connect); }  // it connects again until somebody has bound
  bool put() { return send(); }
  bool get() { return receive(); }
  bool ping() { return send() && receive(); }
  bool pong() { return receive() && send(); }
  static std::uint64_t syscalls() { return 0; }

 private:
  void open(int (*attach)(void*, const char*)) {
    context_ = zmq_ctx_new();
    socket_ = zmq_socket(context_, ZMQ_PAIR);
    const int none = 0;
    (void)zmq_setsockopt(socket_, ZMQ_LINGER, &none, sizeof none);
    is_open_ = attach(socket_, ("ipc://" + path_).c_str()) == 0;
  }
  bool send() { return is_open_ && zmq_send(socket_, message_.data(), message_.size(), 0) >= 0; }
  bool receive() {
    if (!is_open_) return false;
    const int flags = waiting_ == Waiting::polling ? ZMQ_DONTWAIT : 0;
    for (;;) {
      const int got = zmq_recv(socket_, message_.data(), message_.size(), flags);
      if (got >= 0) return static_cast<std::size_t>(got) == message_.size();
      if (errno != EAGAIN) return false;
      ipc::cpu_pause();
    }
  }

  std::vector<std::byte> message_;
  const Waiting waiting_;
  const std::string path_;
  void* context_ = nullptr;
  void* socket_ = nullptr;
  bool is_open_ = false;
};

}  // namespace

Started start_zeromq(Processors processors, std::size_t bytes, Waiting waiting) {
  return MeasuredContestant<ZeroMq>::start(std::make_unique<ZeroMq>(bytes, waiting),
                                           processors.echo);
}

StartedStream stream_zeromq(Processors processors, std::size_t bytes) {
  return start_one_way(std::make_unique<ZeroMq>(bytes, Waiting::blocking), processors);
}

}  // namespace bulkhead::bench::others
