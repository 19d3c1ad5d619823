#include "tests/support/stage.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <filesystem>

#include "ipc/endpoint.hpp"
#include "ipc/queue_frame.hpp"
#include "ipc/queue_journal.hpp"
#include "ipc/wake.hpp"

namespace bulkhead::test {
namespace {

constexpr auto watchdog = std::chrono::seconds(30);

template <class T>
T must(Result<T> result, const char* what) {
  if (!result) ADD_FAILURE() << what << ": " << result.error().to_string();
  return std::move(result).value();
}

}  // namespace

std::string program(const std::string& name) {
  return (std::filesystem::canonical("/proc/self/exe").parent_path() / "../bin" / name).string();
}

std::uint64_t figure(const std::string& status, const std::string& name) {
  const auto at = status.find(name + "=");
  return at == std::string::npos ? 0 : std::stoull(status.substr(at + name.size() + 1));
}

Stage::Stage() = default;
Stage::~Stage() = default;  // ChildProcess kills and reaps

void Stage::link(const std::string& name, Transport transport, const std::string& from,
                 const std::string& to, ChannelOptions options) {
  auto pair = std::make_unique<Pair>();
  pair->name = name + "/" + from + "/" + to;
  pair->link = name;
  pair->transport = transport;
  pair->options = options;
  pair->side[0].worker = from;
  pair->side[1].worker = to;
  pairs_.push_back(std::move(pair));
}

void Stage::queue(const std::string& name, std::uint16_t max_attempts, const std::string& from,
                  const std::vector<std::string>& to, ChannelOptions options) {
  const auto shape = ipc::JournalShape::of(options.capacity, static_cast<std::uint32_t>(to.size()));
  const auto journal =
      std::make_shared<base::UniqueFd>(ipc::QueueJournal::create(name, shape).value());
  options.max_message += ipc::queue_frame_bytes;
  for (const auto& worker : to) {
    link(name, Transport::shm, from, worker, options);
    pairs_.back()->max_attempts = max_attempts;
    pairs_.back()->journal = journal;
  }
}

Actor& Stage::start(Cast cast) {
  auto actor = std::make_unique<Actor>();
  actor->cast = std::move(cast);
  const auto& name = actor->cast.name;
  if (const auto before = actors_.find(name); before != actors_.end()) {
    actor->generation = before->second->generation + 1;
    dead_.push_back(std::move(before->second));
  }
  auto control = must(base::make_socketpair(SOCK_SEQPACKET), "socketpair");
  auto output = must(base::make_pipe(), "pipe");
  EXPECT_EQ(::fcntl(output.first.get(), F_SETFL, O_NONBLOCK), 0);
  actor->attention_fd = must(base::make_memfd("attention", true), "memfd");
  EXPECT_EQ(::ftruncate(actor->attention_fd.get(), ipc::worker_page_bytes), 0);
  actor->attention = must(base::MappedRegion::map(actor->attention_fd.get(), ipc::worker_page_bytes,
                                                  base::Access::read_write),
                          "attention page");
  constexpr int control_number = 3;
  base::SpawnPlan plan;
  plan.argv = actor->cast.command;
  plan.executable = plan.argv.front();
  for (char** entry = environ; *entry != nullptr; ++entry) plan.env.emplace_back(*entry);
  plan.env.push_back("BULKHEAD_CONTROL_FD=" + std::to_string(control_number));
  plan.env.push_back("BULKHEAD_GENERATION=" + std::to_string(actor->generation));
  plan.output = plan.errors = output.second.get();
  plan.fds = {{control.second.get(), control_number}};
  plan.group = base::ProcessGroup::new_group;
  plan.death_signal = base::DeathSignal{SIGKILL, ::getpid()};
  for (const auto& [resource, value] : actor->cast.limits) {
    plan.limits.push_back({resource, value, value});
  }
  auto spawned = must(base::spawn(plan), "spawn");
  actor->process =
      std::make_unique<base::ChildProcess>(std::move(spawned), base::ChildProcess::OnDestroy::kill);
  actor->control = std::move(control.first);
  actor->output = std::move(output.first);
  return *(actors_[name] = std::move(actor));
}

bool Stage::until(const std::function<bool()>& holds) {
  const auto deadline = Deadline::in(watchdog);
  while (!holds()) {
    if (deadline.expired()) {
      for (const auto& [name, actor] : actors_) {
        std::printf("--- %s gen %u ready %d status \"%s\"\n%s\n", name.c_str(), actor->generation,
                    actor->ready, actor->status.c_str(), actor->printed.c_str());
      }
      return false;
    }
    turn(deadline);
  }
  return true;
}

bool Stage::until_ready(const std::string& name) {
  return until([&] { return actor(name).ready; });
}

void Stage::stop(const std::string& name) {
  send(actor(name), ipc::notification(ipc::method::stop, ipc::encode(ipc::Stop{5000})));
}

base::ExitStatus Stage::end(const std::string& name) {
  auto& dying = actor(name);
  dying_ = name;
  const bool died = until([&] {
    pollfd entry = {dying.process->pidfd(), POLLIN, 0};
    return ::poll(&entry, 1, 0) == 1;
  });
  EXPECT_TRUE(died) << name << " does not end";
  const auto status = must(dying.process->wait(Deadline::in(watchdog)), "wait");
  dying_.clear();
  turn(Deadline::now());  // its last words
  buried(name);
  return status;
}

base::ExitStatus Stage::kill(const std::string& name, int signal) {
  EXPECT_TRUE(actor(name).process->send_signal(signal));
  return end(name);
}

Actor& Stage::restart(const std::string& name) { return start(actor(name).cast); }

void Stage::buried(const std::string& name) {
  auto& gone = actor(name);
  gone.ready = gone.greeted = false;
  gone.control.reset();
  for (auto& pair : pairs_) {
    for (int which : {0, 1}) {
      auto& side = pair->side[which];
      if (side.worker != name) continue;
      side.open = side.offered = false;
      for (auto& segment : side.segments) {
        if (std::exchange(segment.dead, true)) continue;
        send_peer(*pair, 1 - which, segment.epoch, ipc::LinkUpdate::Kind::peer_died, {}, {});
      }
    }
  }
  std::erase_if(pairs_, [&](const auto& pair) {
    return pair->session && (pair->side[0].worker == name || pair->side[1].worker == name);
  });
  std::erase_if(waiting_, [&](const Waiting& entry) { return entry.client == name; });
}

void Stage::send(Actor& actor, const ipc::Json& message, const std::vector<int>& fds) {
  if (!actor.control.is_open()) return;
  const auto sent = ipc::send_packet(actor.control.get(), message, fds, Deadline::in(watchdog));
  EXPECT_TRUE(sent || sent.error().is(Errc::closed)) << sent.error().to_string();
  ipc::ring(reinterpret_cast<ipc::AttentionPage*>(actor.attention.data())->word);
}

void Stage::lose_brain() { brain_lost_ = true; }

void Stage::recover_brain() {
  brain_lost_ = false;
  waiting_.clear();
  for (auto& pair : pairs_) {
    for (auto& side : pair->side) side.open = side.offered = false;  // until its worker says so
    if (pair->session) continue;
    // What the dead brain sent may not have arrived: connections are made anew.
    pair->connected[0] = pair->connected[1] = 0;
  }
  for (auto& [name, actor] : actors_) {
    actor->answered_resync = false;
    send(*actor, ipc::request(next_id_++, ipc::method::resync, ipc::Json::object()));
  }
}

void Stage::swallow(Actor& actor) {
  const auto packet = ipc::receive_packet(actor.control.get(), Deadline::in(watchdog));
  EXPECT_TRUE(packet) << packet.error().to_string();
}

void Stage::repeat_everything() {
  for (auto& pair : pairs_) {
    for (int which : {0, 1}) {
      if (!pair->side[which].open) continue;
      --pair->side[which].epoch;
      open_side(*pair, which);
      tell_history(*pair, which);
    }
  }
}

}  // namespace bulkhead::test
