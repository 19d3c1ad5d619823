// A worker's end of the control protocol: says hello, takes what the brain sends, tells endpoints what
// is new about their peers, and stays the same while brains come and go. Used by the Worker runtime and
// by every endpoint of this process (as its Attention). Must not know what a worker does.
//
// There is no thread behind it: packets are taken inside the calls of whoever waits or works.
#pragma once

#include <atomic>
#include <bulkhead/channel.hpp>
#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>
#include <bulkhead/queue.hpp>
#include <bulkhead/sealed.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"
#include "base/mapped_region.hpp"
#include "ipc/attention.hpp"
#include "ipc/control_protocol.hpp"
#include "ipc/queue_protocol.hpp"
#include "ipc/sandbox_protocol.hpp"
#include "ipc/worker_pages.hpp"
#include "workers/heart.hpp"
#include "workers/outbox.hpp"
#include "workers/pair_table.hpp"
#include "workers/sleepers.hpp"

namespace bulkhead::workers {

// Threads: everything from any thread.
// Ownership: endpoints share it; close() breaks the circle. At the end of the connection, which means
//   that keeper and brain are both gone, it ends the process.
class ControlLink final : public ipc::Attention, public std::enable_shared_from_this<ControlLink> {
 public:
  [[nodiscard]] static Result<std::shared_ptr<ControlLink>> open(base::UniqueFd socket,
                                                                 std::uint32_t generation);

  // Says hello and waits until the answer and all links that it announces are there, and kept: what is
  // committed to them from then on is lost by no death of this process, whatever else dies with it.
  [[nodiscard]] Result<ipc::HelloAnswer> greet(Deadline);

  // Puts the strict sandbox in force, where the config asks for one. Errors: as workers/confinement.hpp says.
  [[nodiscard]] Result<void> confine();

  const std::atomic<std::uint32_t>& word() const noexcept override;
  int fd() const noexcept override { return sleepers_->fd(); }
  void service() noexcept override;
  void sleeping(bool) noexcept override;

  // Looks for packets if the brain says that there are some: for calls that do not wait.
  void glance() noexcept;
  void beat() noexcept { heart_.beat(); }
  const StopFlag& stop_flag() const noexcept { return stop_; }
  void stop_from_signal() noexcept;

  void tell_ready();
  void tell_status(std::string_view text);
  void tell_closed(const std::string& pair);  // of a link: no more will come from this worker

  // Of a link: its connection to that incarnation of its peer, which may live.
  void tell_cut(const std::string& pair, std::uint16_t peer_epoch);

  enum class HowMany { one, all };
  // Errors: as Worker::channel and Worker::channels say. Nothing is taken then.
  [[nodiscard]] Result<std::vector<Channel>> take_link(std::string_view link, HowMany);
  // Errors: as Worker::topic says.
  [[nodiscard]] Result<Topic> take_topic(std::string_view link);
  // Errors: as Worker::queue says. Nothing is taken then.
  [[nodiscard]] Result<Queue> take_queue(std::string_view link);
  // Tells the supervisor of a task that is given up, until it has noted that.
  std::uint64_t report(const ipc::TaskQuarantined&);
  bool is_noted(std::uint64_t report);  // true once

  // Errors: as Worker::publish and its neighbours say.
  [[nodiscard]] Result<SealedTicket> publish(const SealedBuffer&, Deadline);
  [[nodiscard]] Result<SealedBuffer> open_sealed(SealedTicket, Deadline);
  [[nodiscard]] Result<void> withdraw(SealedTicket, Deadline);
  [[nodiscard]] Result<std::vector<SealedTicket>> published(Deadline);

  struct Session {
    std::string pair;
    std::optional<Channel> channel;
  };
  // A session with a live instance that provides `service`, whichever the supervisor chooses.
  // Errors: not_found; timed_out when none came up in time; stopped.
  [[nodiscard]] Result<Session> connect(std::string_view service, Deadline);
  // A session that a client opened with this worker and that nobody serves yet.
  [[nodiscard]] std::optional<Session> accept(std::string_view service);
  bool peer_gone(const std::string& pair);
  void close_session(const std::string& pair);

  // Sleeps until `done` (called under the lock) or the deadline. Errors: timed_out, stopped.
  [[nodiscard]] Result<void> wait(Deadline, const std::function<bool()>& done);

  // Lets go of all endpoints; the last call.
  void close() noexcept;

 private:
  ControlLink(base::UniqueFd socket, std::uint32_t generation, Heart);

  struct Request {
    ipc::Json message;
    std::vector<int> fds;  // borrowed from members
    std::optional<ipc::Packet> answer;
    std::optional<Error> error;
    bool abandoned = false;  // nobody waits any more
  };

  // A message that makes no sense loses nothing but itself; the connection goes on.
  static void complain(const Error&) noexcept;

  // All under mutex_:
  void take(ipc::Packet);
  void take_call(ipc::Packet&, const ipc::ControlMessage&);
  void take_answer(ipc::Packet, std::uint64_t id, std::optional<Error>);
  void take_hello(ipc::Packet&, const std::optional<Error>&);
  void take_sandbox(ipc::Packet&, const ipc::Json& params);
  void link_opened(ipc::Packet&, const ipc::Json& params);
  void link_peer(ipc::Packet&, const ipc::Json& params);
  void link_kept(const ipc::Json& params);
  void take_leak(const ipc::Json& params);
  void answer_resync(std::uint64_t id);
  void send_closed(const PairTable::Pair&);
  void send_cut(const PairTable::Pair&);
  void offer(const PairTable::Pair&);
  Result<void> map_attention(ipc::Packet&);
  void drop_unclaimed(const ipc::Packet&);
  void drop_unclaimed_if_gone(const std::string& pair);
  void say_hello();
  void erase_session(const std::string& pair);
  void send(ipc::Json message, std::span<const int> fds = {});
  void send_status();
  void send_confined();
  void raise_stop() noexcept;
  void after(const Result<void>&, std::string_view what);

  std::uint64_t begin_request(std::string_view method, ipc::Json params, std::vector<int> fds);
  [[nodiscard]] Result<ipc::Packet> finish_request(std::uint64_t id, Deadline);
  // Both, without the lock. The descriptors must stay open until this returns.
  [[nodiscard]] Result<ipc::Packet> ask(std::string_view method, ipc::Json params, Deadline,
                                        std::vector<int> fds = {});
  [[nodiscard]] Result<Session> connect_once(std::string_view service, Deadline);

  const base::UniqueFd socket_;
  std::uint32_t generation_;  // of the spare, until the answer to its hello makes it an instance
  Heart heart_;
  std::unique_ptr<Sleepers> sleepers_;
  StopFlag stop_;
  std::atomic<std::uint32_t> seen_word_{0};
  base::MappedRegion attention_page_;  // mapped once, before any endpoint exists

  std::mutex mutex_;  // guards what follows
  Outbox outbox_;
  PairTable pairs_;
  std::map<std::uint64_t, Request> requests_;
  std::uint64_t next_request_ = 1;
  std::uint64_t hello_request_ = 0;
  std::optional<ipc::HelloAnswer> hello_;
  std::optional<Error> failure_;  // of the hello, or of a link of the config: no work is possible
  struct Sandbox {
    ipc::SandboxInstall install;
    base::UniqueFd filter;
  };
  std::optional<Sandbox> sandbox_;  // not yet in force
  std::optional<ipc::SandboxInstalled> confined_;
  std::optional<std::string> status_;
  ipc::WorkerPhase phase_ = ipc::WorkerPhase::starting;
};

}  // namespace bulkhead::workers
