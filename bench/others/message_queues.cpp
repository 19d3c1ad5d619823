// The kernel's message queues and Boost.Interprocess's: two of them each, one a direction.
#include <fcntl.h>
#include <mqueue.h>

#include <array>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <cerrno>
#include <optional>
#include <vector>

#include "bench/others/one_way.hpp"
#include "bench/others/peers.hpp"
#include "ipc/wake.hpp"

namespace bulkhead::bench::others {
namespace {

// Messages that a queue has room for.
constexpr long posix_depth = 10;  // what the kernel allows by default
constexpr std::size_t interprocess_depth = 1000;

class PosixQueue {
 public:
  PosixQueue(std::size_t bytes, Waiting waiting) : message_(bytes) {
    for (std::size_t way = 0; way < 2; ++way) {
      mq_attr attributes{};
      attributes.mq_maxmsg = posix_depth;
      attributes.mq_msgsize = static_cast<long>(bytes);
      const int flags =
          O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | (waiting == Waiting::polling ? O_NONBLOCK : 0);
      const auto name = own_name("/bulkhead-bench-mq", way == 0 ? "there" : "back");
      ways_[way] = ::mq_open(name.c_str(), flags, 0600, &attributes);
      ::mq_unlink(name.c_str());  // both processes have it open, nobody else may
    }
  }
  ~PosixQueue() {
    for (const mqd_t way : ways_) ::mq_close(way);
  }
  PosixQueue(const PosixQueue&) = delete;
  PosixQueue& operator=(const PosixQueue&) = delete;

  static void enter_echo() {}
  static void enter_ping() {}
  bool put() { return send(ways_[0]); }
  bool get() { return receive(ways_[0]); }
  bool ping() { return send(ways_[0]) && receive(ways_[1]); }
  bool pong() { return receive(ways_[0]) && send(ways_[1]); }
  std::uint64_t syscalls() const { return calls_; }

 private:
  bool send(mqd_t way) {
    ++calls_;
    return ::mq_send(way, reinterpret_cast<const char*>(message_.data()), message_.size(), 0) == 0;
  }
  bool receive(mqd_t way) {
    for (;;) {
      ++calls_;
      const ssize_t got =
          ::mq_receive(way, reinterpret_cast<char*>(message_.data()), message_.size(), nullptr);
      if (got >= 0) return static_cast<std::size_t>(got) == message_.size();
      if (errno != EAGAIN) return false;
    }
  }

  std::vector<std::byte> message_;
  std::array<mqd_t, 2> ways_{};
  std::uint64_t calls_ = 0;
};

class InterprocessQueue {
 public:
  using Queue = boost::interprocess::message_queue;

  InterprocessQueue(std::size_t bytes, Waiting waiting) : message_(bytes), waiting_(waiting) {
    for (std::size_t way = 0; way < 2; ++way) {
      const auto name = own_name("bulkhead-bench-bimq", way == 0 ? "there" : "back");
      ways_[way].emplace(boost::interprocess::create_only, name.c_str(), interprocess_depth, bytes);
      Queue::remove(name.c_str());  // the mapping stays, in the fork too
    }
  }

  static void enter_echo() {}
  static void enter_ping() {}
  bool put() { return send(*ways_[0]); }
  bool get() { return receive(*ways_[0]); }
  bool ping() { return send(*ways_[0]) && receive(*ways_[1]); }
  bool pong() { return receive(*ways_[0]) && send(*ways_[1]); }
  static std::uint64_t syscalls() { return 0; }

 private:
  bool send(Queue& way) {
    way.send(message_.data(), message_.size(), 0);
    return true;
  }
  bool receive(Queue& way) {
    Queue::size_type got = 0;
    unsigned priority = 0;
    if (waiting_ == Waiting::blocking) {
      way.receive(message_.data(), message_.size(), got, priority);
    } else {
      while (!way.try_receive(message_.data(), message_.size(), got, priority)) ipc::cpu_pause();
    }
    return got == message_.size();
  }

  std::vector<std::byte> message_;
  const Waiting waiting_;
  std::array<std::optional<Queue>, 2> ways_;
};

}  // namespace

Started start_posix_queue(Processors processors, std::size_t bytes, Waiting waiting) {
  return MeasuredContestant<PosixQueue>::start(std::make_unique<PosixQueue>(bytes, waiting),
                                               processors.echo);
}

Started start_interprocess_queue(Processors processors, std::size_t bytes, Waiting waiting) {
  return MeasuredContestant<InterprocessQueue>::start(
      std::make_unique<InterprocessQueue>(bytes, waiting), processors.echo);
}

StartedStream stream_posix_queue(Processors processors, std::size_t bytes) {
  return start_one_way(std::make_unique<PosixQueue>(bytes, Waiting::blocking), processors);
}

StartedStream stream_interprocess_queue(Processors processors, std::size_t bytes) {
  return start_one_way(std::make_unique<InterprocessQueue>(bytes, Waiting::blocking), processors);
}

}  // namespace bulkhead::bench::others
