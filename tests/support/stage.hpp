// Plays the supervisor for worker processes, as docs/design/control-protocol.md says, in one thread and
// with nothing in between: a test starts workers, kills them, replaces its own brain, and looks at
// what workers say. Used by process tests of the runtime. Shares no code with the real brain.
#pragma once

#include <bulkhead/channel.hpp>
#include <bulkhead/deadline.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/child_process.hpp"
#include "base/fd.hpp"
#include "base/mapped_region.hpp"
#include "ipc/control_protocol.hpp"
#include "ipc/queue_protocol.hpp"
#include "ipc/worker_pages.hpp"

namespace bulkhead::test {

struct Cast {        // who plays
  std::string name;  // "sink.0"
  std::vector<std::string> command;
  ipc::Json config = ipc::Json::object();
  std::vector<std::string> provides;
  std::vector<std::pair<int, std::uint64_t>> limits;  // RLIMIT_…, value
};

// One incarnation of a worker.
struct Actor {
  Cast cast;
  std::uint32_t generation = 1;
  std::unique_ptr<base::ChildProcess> process;
  base::UniqueFd control, output, attention_fd, beat_fd;
  base::MappedRegion attention, beat;
  bool greeted = false, ready = false;
  bool answered_resync = true;  // until then no request of it is heard
  ipc::ResyncAnswer resync;
  std::string status, printed;      // printed: stdout and stderr together
  std::vector<std::string> closed;  // pairs that it said link.closed about

  bool prints(std::string_view text) const { return printed.find(text) != std::string::npos; }
  ipc::BeatPage& beat_page() const { return *reinterpret_cast<ipc::BeatPage*>(beat.data()); }
};

class Stage {
 public:
  Stage();
  ~Stage();

  // Before the workers that it connects are started.
  void link(const std::string& name, Transport, const std::string& from, const std::string& to,
            ChannelOptions options = {});
  // The same for a queue, whose journal it keeps: one pair for each of `to`.
  void queue(const std::string& name, std::uint16_t max_attempts, const std::string& from,
             const std::vector<std::string>& to, ChannelOptions options = {});
  // Tasks that dispatchers said they gave up: {pair, task, attempts}, each as often as it was said.
  std::vector<ipc::TaskQuarantined> given_up;
  Actor& start(Cast);
  Actor& actor(const std::string& name) { return *actors_.at(name); }

  // Plays on until it holds; false when the watchdog (30 s) came first, after printing who said what.
  [[nodiscard]] bool until(const std::function<bool()>& holds);
  [[nodiscard]] bool until_ready(const std::string& name);

  void stop(const std::string& name);             // asks it to
  base::ExitStatus end(const std::string& name);  // waits until it is dead
  base::ExitStatus kill(const std::string& name, int signal = 9);
  Actor& restart(const std::string& name);  // starts the next incarnation of one that is dead

  // A brain dies and its successor knows only what a keeper would hold: sockets and segments.
  void lose_brain();     // from now on nothing that workers say is read
  void recover_brain();  // resync with everybody
  // A brain reads one packet and dies before it acts on it.
  void swallow(Actor&);
  // ... or before it has opened more than so many links.
  std::size_t links_opened_max = ~std::size_t{0};
  bool is_asking(const std::string& client) const;  // for a service that no instance provides yet
  // So many sessions end at once, as if their servers had died before their clients could call.
  std::size_t sessions_stillborn = 0;
  // Everything that a new brain may say again, said again.
  void repeat_everything();
  void send(Actor&, const ipc::Json& message, const std::vector<int>& fds = {});

 private:
  struct Segment {
    std::uint16_t epoch;
    base::UniqueFd fd;
    bool dead = false;
    bool closed = false;
  };
  struct PairSide {
    std::string worker;
    std::uint16_t epoch = 0;
    bool open = false, offered = false;
    std::vector<Segment> segments;
  };
  struct Pair {
    std::string name, link, service;
    Transport transport = Transport::shm;
    ChannelOptions options;
    PairSide side[2];
    bool session = false;
    std::uint16_t max_attempts = 0;  // of a queue
    std::shared_ptr<base::UniqueFd> journal;
    std::uint16_t connected[2] = {0, 0};
  };
  struct Waiting {  // a service.connect that no instance could take yet
    std::string client, service;
    std::uint64_t id;
  };

  void turn(Deadline);
  void read_output(Actor&);
  void read_control(Actor&);
  void take(Actor&, ipc::Packet&);
  void answer_hello(Actor&, ipc::Packet&, std::uint64_t id);
  void resynced(Actor&);
  void open_side(Pair&, int side);
  void tell_history(Pair&, int reader);
  void send_peer(Pair&, int receiver, std::uint16_t epoch, ipc::LinkUpdate::Kind,
                 std::vector<std::string> names, const std::vector<int>& fds);
  void offered(Actor&, const ipc::LinkOffer&, base::UniqueFd segment);
  void connect(Pair&);
  void serve_waiting();
  void buried(const std::string& name);

  std::map<std::string, std::unique_ptr<Actor>> actors_;
  std::vector<std::unique_ptr<Actor>> dead_;
  std::vector<std::unique_ptr<Pair>> pairs_;
  std::vector<Waiting> waiting_;
  bool brain_lost_ = false;
  std::string dying_;  // whose end is waited for
  std::uint64_t next_id_ = 1, next_session_ = 1;
};

// The figure that a status shows under a name, "name=figure"; 0 when it shows none.
std::uint64_t figure(const std::string& status, const std::string& name);

std::string program(const std::string& name);  // of a built-in worker, beside this test's build

}  // namespace bulkhead::test
