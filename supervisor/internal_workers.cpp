#include "supervisor/internal_workers.hpp"

#include "supervisor/operator_line.hpp"

#include <sys/socket.h>
#include <unistd.h>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <csignal>
#include <string_view>
#include <utility>

namespace bulkhead::supervisor {
namespace {

constexpr int control_fd_number = 3;
constexpr std::chrono::milliseconds delay_first{10}, delay_max{5000};
constexpr std::chrono::seconds young{1};

}  // namespace

InternalWorker::InternalWorker(boost::asio::io_context& io, Processes& processes,
                               KeeperClient& keeper, Options options)
    : io_(io), processes_(processes), keeper_(keeper), options_(std::move(options)), again_(io) {}

bool InternalWorker::alive() const noexcept { return processes_.alive(options_.slot); }

void InternalWorker::begin() {
  if (!processes_.alive(options_.slot)) return start();
  auto socket = keeper_.take("internal/" + options_.name);
  if (socket.is_open()) open_port(std::move(socket));
}

void InternalWorker::start() {
  if (retired_) return;
  started_ = std::chrono::steady_clock::now();
  base::SpawnPlan plan;
  plan.executable = options_.command.front();
  plan.argv = options_.command;
  if (options_.once_more && processes_.generation(options_.slot) != 0) {
    for (auto& word : options_.once_more()) plan.argv.push_back(std::move(word));
  }
  for (char** entry = environ; *entry != nullptr; ++entry) plan.env.emplace_back(*entry);
  plan.input = -1;
  plan.output = options_.terminal ? 1 : 2;
  plan.errors = 2;
  plan.group = base::ProcessGroup::new_group;
  plan.death_signal = base::DeathSignal{SIGKILL, keeper_.keeper_pid()};
  plan.blocked_signals = options_.blocked_signals;
  base::UniqueFd ours, theirs;
  if (options_.control) {
    auto pair = base::make_socketpair(SOCK_SEQPACKET);
    if (!pair || !keeper_.put("internal/" + options_.name, pair->first.get())) return died();
    ours = std::move(pair->first);
    theirs = std::move(pair->second);
    plan.fds.push_back({theirs.get(), control_fd_number});
    plan.env.push_back("BULKHEAD_CONTROL_FD=" + std::to_string(control_fd_number));
  }
  if (const auto started = processes_.start_internal(options_.slot, plan); started.pid == 0) {
    complain(*started.error);
    return died();
  }
  if (ours.is_open()) open_port(std::move(ours));
}

// Once: it is tried again and again.
void InternalWorker::complain(const Error& error) {
  const std::string text = error.to_string();
  if (std::exchange(complained_, text) == text) return;
  tell_operator(options_.name + ": " + text);
}

void InternalWorker::open_port(base::UniqueFd socket) {
  port_ = std::make_unique<ControlPort>(
      io_, std::move(socket),
      ControlPort::Callbacks{[this](ipc::Packet packet) {
                               if (options_.packet) options_.packet(std::move(packet));
                             },
                             [](const Error&) {},  // its exit entry tells the rest
                             [] {}});
  if (options_.connected) options_.connected(*port_);
}

void InternalWorker::died() {
  port_.reset();
  if (retired_) return;
  const bool was_young = std::chrono::steady_clock::now() - started_ < young;
  delay_ =
      was_young ? std::clamp(delay_ * 2, delay_first, delay_max) : std::chrono::milliseconds(0);
  again_.expires_after(delay_);
  again_.async_wait([this](const auto& error) {
    if (!error) start();
  });
}

void InternalWorker::retire(int signal) {
  retired_ = true;
  again_.cancel();
  if (processes_.alive(options_.slot)) (void)processes_.signal(options_.slot, signal);
}

}  // namespace bulkhead::supervisor
