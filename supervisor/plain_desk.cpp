#include "supervisor/plain_desk.hpp"

#include <pwd.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/clock.hpp"
#include "base/process_tree.hpp"
#include "supervisor/pair.hpp"

namespace bulkhead::supervisor {
namespace {

using Phase = NotifyNote::Phase;

constexpr int messages_per_round = 16;  // then others have their turn
constexpr int messages_of_the_dead = 4096;

// Nobody can guess it, so nobody can sit there before us.
std::string fresh_address(const std::string& instance) {
  std::uint64_t number = 0;
  while (::getrandom(&number, sizeof number, 0) != sizeof number) {
  }
  static constexpr char digits[] = "0123456789abcdef";
  std::string text = "@bulkhead/" + instance + "/";
  for (int i = 0; i < 16; ++i, number >>= 4) text += digits[number & 15];
  return text;
}

std::optional<std::uint32_t> uid_of(const std::string& user) {
  if (user.empty()) return ::geteuid();
  const passwd* const entry = ::getpwnam(user.c_str());
  if (entry == nullptr) return std::nullopt;
  return entry->pw_uid;
}

Error refusal(std::string what) {
  return make_error(Errc::protocol_violation, "notification " + std::move(what));
}

}  // namespace

PlainDesk::PlainDesk(boost::asio::io_context& io, const SystemConfig& config, const Plan& plan,
                     KeeperClient& keeper, Callbacks callbacks)
    : io_(io),
      config_(config),
      plan_(plan),
      keeper_(keeper),
      callbacks_(std::move(callbacks)),
      store_(config, plan, make_pairs(config, plan).size(), keeper),
      pipes_(io, plan, keeper,
             {[this](Slot slot) { callbacks_.ready(slot, callbacks_.generation(slot)); },
              [this](Slot slot, const Error& error) { callbacks_.violated(slot, error); }}),
      desks_(plan.instances.size()) {}

const WorkerConfig& PlainDesk::config_of(Slot slot) const {
  return config_.workers[plan_.instances[slot].worker_index];
}

// A socket of its own for each incarnation: what a straggler of the one before says never reaches it.
Result<PlainStart> PlainDesk::prepare(Slot slot) {
  PlainStart start;
  const std::string& name = plan_.instances[slot].name;
  start.notify_address = fresh_address(name);
  auto socket = open_notify_socket(start.notify_address);
  if (!socket) return socket.error();
  if (auto kept = keeper_.put("notify/" + name, socket->get()); !kept) return kept.error();
  listen(slot, std::move(*socket));
  if (config_of(slot).ready.type == ReadyType::fd) {
    auto ready = pipes_.open(slot);
    if (!ready) return ready.error();
    start.ready = std::move(*ready);
  }
  start.stored = store_.of(slot);
  return start;
}

void PlainDesk::adopt(Slot slot) {
  const std::string& name = plan_.instances[slot].name;
  auto socket = keeper_.take("notify/" + name);
  if (!socket.is_open()) return;
  if (auto note = keeper_.take("note/" + name); note.is_open()) {
    auto mapped = base::MappedRegion::map(note.get(), sizeof(NotifyNote), base::Access::read_write);
    if (mapped) desks_[slot].note = std::move(*mapped);
  }
  listen(slot, std::move(socket));
  pipes_.adopt(slot);
}

void PlainDesk::listen(Slot slot, base::UniqueFd socket) {
  desks_[slot].socket.reset();
  desks_[slot].socket.emplace(io_, socket.release());
  ++desks_[slot].listens;
  await(slot);
}

void PlainDesk::await(Slot slot) {
  auto& socket = *desks_[slot].socket;
  const auto listens = desks_[slot].listens;
  socket.async_wait(socket.wait_read, [this, slot, listens](const auto& error) {
    if (error || !desks_[slot].socket || desks_[slot].listens != listens) return;
    for (int i = 0; i < messages_per_round && receive_one(slot, callbacks_.pid(slot)); ++i) {
    }
    if (desks_[slot].socket) await(slot);
  });
}

void PlainDesk::became_ready(Slot slot) {
  if (!desks_[slot].socket) return;
  desks_[slot].is_ready = true;
  watch_.begin(slot, timeout_of(slot), base::monotonic_ns());
}

void PlainDesk::died(Slot slot, std::int32_t pid) {
  pipes_.died(slot);
  for (int i = 0; i < messages_of_the_dead && receive_one(slot, pid); ++i) {
  }
  watch_.forget(slot);
  desks_[slot].is_ready = false;
  if (!desks_[slot].socket) return;
  desks_[slot].socket.reset();
  (void)keeper_.drop("notify/" + plan_.instances[slot].name);  // fails only when the keeper is gone
}

// The word of one that seems silent may lie in its socket, since we had no time to read it.
void PlainDesk::look(TimeNs now) {
  for (const Slot slot : watch_.due(now)) {
    for (int i = 0; i < messages_per_round && receive_one(slot, callbacks_.pid(slot)); ++i) {
    }
    if (watch_.is_overdue(slot, now))
      callbacks_.watchdog_expired(slot, callbacks_.generation(slot));
  }
}

bool PlainDesk::receive_one(Slot slot, std::int32_t pid) {
  if (!desks_[slot].socket) return false;
  const int socket = desks_[slot].socket->native_handle();
  auto datagram = peek_datagram(socket);
  if (!datagram) return false;
  take(slot, pid, *datagram);
  drop_datagram(socket);
  return true;
}

void PlainDesk::take(Slot slot, std::int32_t pid, NotifyDatagram& datagram) {
  if (!is_from(slot, pid, datagram)) return;
  if (datagram.is_cut) {
    return refuse(slot, "of more than 4096 bytes (send less at once)");
  }
  if (datagram.text.find('\0') != std::string::npos)
    return refuse(slot, "with a NUL character in it");
  if (datagram.lost_fds) {
    refuse(slot, "with descriptors that could not be taken: the limit is reached (ulimit -Hn)");
  }
  const auto message = parse_notify(datagram.text);
  for (const auto& complaint : message.complaints) refuse(slot, complaint);
  carry_out(slot, pid, message, std::move(datagram.fds));
}

// The sender is the worker or descends from it. One that has exited before its message was read is nobody's: its number
// may be another's by now, and its parents are not known any more.
bool PlainDesk::is_from(Slot slot, std::int32_t pid, const NotifyDatagram& datagram) {
  if (datagram.pid == pid && pid != 0) return true;
  const bool known = datagram.pid > 0 && descends(slot, pid, datagram.pid, datagram.uid);
  if (is_gone(datagram)) {
    refuse(
        slot,
        "of process " + std::to_string(datagram.pid) +
            ", which has exited already, so that nobody can say whose it was (have it wait "
            "with sd_notify_barrier(3), as systemd-notify does, or let the worker itself say it)");
    return false;
  }
  if (!known) {
    refuse(slot, "of process " + std::to_string(datagram.pid) + " (uid " +
                     std::to_string(datagram.uid) + "), which is none of its processes");
  }
  return known;
}

// By its parents; or, once those between have died and it is the keeper's child, by the mark in its environment. That any
// process of the system could give itself, so it must have the worker's uid, and stand below no other worker.
bool PlainDesk::descends(Slot slot, std::int32_t worker, std::int32_t pid,
                         std::optional<std::uint32_t> uid) const {
  const auto line = base::ancestry(pid);
  if (worker != 0 && std::find(line.begin(), line.end(), worker) != line.end()) return true;
  const auto keeper = std::find(line.begin(), line.end(), keeper_.keeper_pid());
  if (keeper == line.begin() || keeper == line.end()) return false;
  const std::int32_t top = *(keeper - 1);
  if (top == ::getpid() || callbacks_.is_worker(top)) return false;
  const bool right_user = !uid || *uid == 0 || uid == uid_of(config_of(slot).user);
  return right_user && base::has_entry(top, callbacks_.cookie(slot));
}

void PlainDesk::carry_out(Slot slot, std::int32_t pid, const NotifyMessage& message,
                          std::vector<base::UniqueFd> fds) {
  if (message.barrier) return;  // its descriptor is closed when the message is dropped
  take_descriptors(slot, message, std::move(fds));
  const TimeNs now = base::monotonic_ns();
  const Generation generation = callbacks_.generation(slot);
  const bool says_more = message.status || message.error_number || message.stopping ||
                         message.reloading || message.ready;
  if (says_more) {
    remember(slot, [&](NotifyNote& note) {
      if (message.ready && note.phase == Phase::reloading) note.phase = Phase::none;
      if (message.reloading) note.phase = Phase::reloading;
      if (message.stopping) note.phase = Phase::stopping;
      if (message.error_number) note.error_number = *message.error_number;
      if (message.status)
        std::memcpy(note.status, message.status->c_str(), message.status->size() + 1);
    });
  }
  if (message.main_pid) take_main_pid(slot, pid, *message.main_pid);
  take_watchdog(slot, message);
  if (message.more_time) callbacks_.more_time(slot, generation, now + *message.more_time);
  if (message.ready && config_of(slot).ready.type == ReadyType::notify) {
    callbacks_.ready(slot, generation);
  }
  if (message.gives_up) callbacks_.watchdog_expired(slot, generation);
}

void PlainDesk::take_descriptors(Slot slot, const NotifyMessage& message,
                                 std::vector<base::UniqueFd> fds) {
  if (message.unstore) store_.drop(slot, message.store_name);
  if (!message.store && !fds.empty()) {
    return refuse(slot, "with descriptors and without FDSTORE=1: they are closed");
  }
  for (auto& fd : fds) {
    const auto kept = store_.keep(slot, std::move(fd), message.store_name, message.polled);
    if (!kept) return refuse(slot, kept.error().context);
  }
}

void PlainDesk::take_watchdog(Slot slot, const NotifyMessage& message) {
  const TimeNs now = base::monotonic_ns();
  if (message.watchdog_timeout) {
    remember(slot, [&](NotifyNote& note) { note.watchdog_timeout = *message.watchdog_timeout; });
    if (desks_[slot].is_ready) watch_.begin(slot, *message.watchdog_timeout, now);
  }
  if (message.alive) watch_.heard(slot, now);
}

// Who is not its own must not be named: whoever is told the number would do to a stranger what is meant for the worker.
void PlainDesk::take_main_pid(Slot slot, std::int32_t worker, std::int32_t pid) {
  if (pid != worker && !descends(slot, worker, pid, std::nullopt)) {
    return refuse(slot, "MAINPID=" + std::to_string(pid) + ", which is none of its processes");
  }
  remember(slot, [&](NotifyNote& note) { note.main_pid = pid; });
  if (pid != worker) {
    callbacks_.violated(
        slot,
        make_error(Errc::unsupported,
                   "MAINPID=" + std::to_string(pid) + " is not the process that was started (pid " +
                       std::to_string(worker) +
                       "), whose end is the worker's end: let the program stay in the foreground"));
  }
}

void PlainDesk::refuse(Slot slot, std::string what) {
  remember(slot, [](NotifyNote& note) { ++note.refused; });
  callbacks_.violated(slot, refusal(std::move(what)));
}

Result<void> PlainDesk::make_note(Slot slot) {
  const std::string& name = plan_.instances[slot].name;
  const auto memory = base::make_memfd(("note:" + name).c_str(), false);
  if (!memory) return memory.error();
  if (::ftruncate(memory->get(), sizeof(NotifyNote)) != 0) return errno_error(errno, "make a note");
  auto mapped =
      base::MappedRegion::map(memory->get(), sizeof(NotifyNote), base::Access::read_write);
  if (!mapped) return mapped.error();
  if (auto kept = keeper_.put("note/" + name, memory->get()); !kept) return kept;
  desks_[slot].note = std::move(*mapped);
  return {};
}

void PlainDesk::remember(Slot slot, const std::function<void(NotifyNote&)>& change) {
  Desk& desk = desks_[slot];
  if (desk.note.size() == 0) {
    if (const auto made = make_note(slot); !made) return callbacks_.violated(slot, made.error());
  }
  NotifyNote next = recall(slot);
  change(next);
  next.generation = callbacks_.generation(slot);
  std::memcpy(desk.note.data(), &next, sizeof next);
}

NotifyNote PlainDesk::recall(Slot slot) const {
  NotifyNote note;
  const Desk& desk = desks_[slot];
  if (desk.note.size() != 0) std::memcpy(&note, desk.note.data(), sizeof note);
  if (note.generation != callbacks_.generation(slot)) return {};
  note.status[sizeof note.status - 1] = '\0';
  return note;
}

TimeNs PlainDesk::timeout_of(Slot slot) const {
  if (const TimeNs said = recall(slot).watchdog_timeout; said != 0) return said;
  const auto& configured = config_of(slot).watchdog;
  return configured ? static_cast<TimeNs>(configured->count()) : time_never;
}

std::string PlainDesk::status_text(Slot slot) const {
  return printable(recall(slot).status, notify_status_max);
}

nlohmann::json PlainDesk::status(Slot slot) const {
  const bool stores = store_.count(slot) != 0;
  if (!speaks(slot) && !stores) return nullptr;
  const NotifyNote note = recall(slot);
  const auto or_null = [](std::int64_t number) {
    return number != 0 ? nlohmann::json(number) : nlohmann::json();
  };
  const char* const phase = note.phase == Phase::reloading  ? "reloading"
                            : note.phase == Phase::stopping ? "stopping"
                                                            : nullptr;
  const TimeNs timeout = timeout_of(slot);
  return {{"phase", phase != nullptr ? nlohmann::json(phase) : nlohmann::json()},
          {"main_pid", or_null(note.main_pid)},
          {"errno", or_null(note.error_number)},
          {"watchdog_ms",
           timeout == time_never ? nlohmann::json() : nlohmann::json(timeout / 1'000'000)},
          {"stored", store_.count(slot)},
          {"refused", note.refused}};
}

}  // namespace bulkhead::supervisor
