// The logger's loop: one chunk per readable pipe and turn, so that a flood starves nobody.
#include "supervisor/logger.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace bulkhead::supervisor {
namespace {

constexpr std::chrono::seconds answer_patience{1};
constexpr std::uint32_t tail_bytes_max = 64 << 10;

Result<void> poll_for(int poll, int fd, std::uint64_t id) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = id}};
  if (::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return errno_error(errno, "logger: epoll_ctl");
}

Result<base::UniqueFd> open_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  base::UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.is_open()) return errno_error(errno, "logger: signalfd");
  return fd;
}

}  // namespace

Result<std::unique_ptr<Logger>> Logger::open(base::UniqueFd control) {
  auto signals = open_signals();
  if (!signals) return signals.error();
  base::UniqueFd poll(::epoll_create1(EPOLL_CLOEXEC));
  if (!poll.is_open()) return errno_error(errno, "logger: epoll_create1");
  for (const auto& [fd, id] : {std::pair{control.get(), control_id}, {signals->get(), signal_id}}) {
    if (const auto polled = poll_for(poll.get(), fd, id); !polled) return polled.error();
  }
  auto scratch = LogScratch::make();
  if (!scratch) return scratch.error();
  auto relief_scratch = LogScratch::make();
  if (!relief_scratch) return relief_scratch.error();
  return std::unique_ptr<Logger>(new Logger(std::move(control), std::move(*signals),
                                            std::move(poll), std::move(*scratch),
                                            std::move(*relief_scratch)));
}

Logger::Logger(base::UniqueFd control, base::UniqueFd signals, base::UniqueFd poll,
               LogScratch scratch, LogScratch relief_scratch)
    : control_(std::move(control)),
      signals_(std::move(signals)),
      poll_(std::move(poll)),
      scratch_(std::move(scratch)),
      relief_(std::move(relief_scratch)) {}

Result<void> Logger::run() {
  std::array<epoll_event, 64> events;
  while (!leaving_) {
    const int timeout =
        troubled_.empty()
            ? -1
            : static_cast<int>(std::chrono::milliseconds(LogStream::retry_period).count());
    const int ready =
        ::epoll_wait(poll_.get(), events.data(), static_cast<int>(events.size()), timeout);
    if (ready < 0 && errno != EINTR) return errno_error(errno, "logger: epoll_wait");
    for (int index = 0; index < ready; ++index) {
      const Id id = events[static_cast<std::size_t>(index)].data.u64;
      if (id == control_id) {
        if (const auto read = read_control(); !read) return read.error();
      } else if (id == signal_id) {
        leaving_ = true;
      } else {
        serve(id);
      }
    }
    retry_troubled();
  }
  write_all();
  return {};
}

Result<void> Logger::read_control() {
  for (;;) {
    auto packet = ipc::receive_packet(control_.get());
    if (!packet) {
      if (!packet.error().is(Errc::closed)) return packet.error();
      leaving_ = true;
      return {};
    }
    if (!packet->has_value()) return {};
    obey(**packet);
  }
}

void Logger::obey(ipc::Packet& packet) {
  const auto message = ipc::read_message(packet.body);
  if (!message || message->is_answer()) return;
  if (message->method == "log.add") {
    add(*message->content, packet);
  } else if (message->method == "log.remove") {
    remove(*message->content);
  } else if (message->method == "log.flush") {
    write_all();
    answer(ipc::result(message->id, ipc::Json::object()));
  } else if (message->method == "log.tail") {
    tell_tail(message->id, *message->content);
  } else if (message->kind == ipc::ControlMessage::Kind::request) {
    answer(ipc::error_answer(message->id, make_error(Errc::method_not_found,
                                                     "logger: " + std::string(message->method))));
  }
}

void Logger::add(const ipc::Json& params, ipc::Packet& packet) {
  LogSettings settings;
  enum class Overflow : std::uint8_t { drop, block } overflow = Overflow::drop;
  static constexpr std::string_view names[] = {"drop", "block"};
  ipc::FieldReader in("log.add", params);
  in.required("name", settings.name).required("path", settings.path);
  in.required("max_size", settings.limits.max_size).required("keep", settings.limits.keep);
  in.required_name("overflow", names, overflow);
  if (in.failed() || packet.fds.size() != 1) {
    const std::string what = in.failed() ? in.error().to_string() : "log.add: not one descriptor";
    std::fprintf(stderr, "bulkhead-logger: %s\n", what.c_str());
    return;
  }
  settings.drop = overflow == Overflow::drop;
  if (const auto known = by_name_.find(settings.name); known != by_name_.end()) {
    LogStream& stream = *streams_.at(known->second).stream;
    if (stream.source().is_same_pipe(packet.fds.front().get())) {  // a new brain says all again
      stream.change(settings);
      return;
    }
    write_what_is_there(stream);
    forget(known->second);
  }
  const Id id = next_id_++;
  by_name_[settings.name] = id;
  streams_[id].stream =
      std::make_unique<LogStream>(settings, std::move(packet.fds.front()), relief_);
  arm(id, true);
}

void Logger::remove(const ipc::Json& params) {
  std::string name;
  ipc::FieldReader in("log.remove", params);
  in.required("name", name);
  const auto known = by_name_.find(name);
  if (in.failed() || known == by_name_.end()) return;
  write_what_is_there(*streams_.at(known->second).stream);
  forget(known->second);
}

// Includes what lies in the pipe now: who asks does so because the writer is dead.
void Logger::tell_tail(std::uint64_t id, const ipc::Json& params) {
  std::string name;
  std::uint32_t lines = 0, bytes = 0;
  ipc::FieldReader in("log.tail", params);
  in.required("name", name).required("lines", lines).required("bytes", bytes);
  if (in.failed()) return answer(ipc::error_answer(id, in.error()));
  const auto known = by_name_.find(name);
  if (known == by_name_.end()) {
    return answer(ipc::error_answer(id, make_error(Errc::not_found, "logger: no log of " + name)));
  }
  LogStream& stream = *streams_.at(known->second).stream;
  write_what_is_there(stream);
  // What is no UTF-8 could not be sent.
  const auto text = ipc::Json(stream.tail(lines, std::min(bytes, tail_bytes_max)));
  answer(ipc::result(id, {{"text", ipc::Json::parse(text.dump(
                                       -1, ' ', false, ipc::Json::error_handler_t::replace))}}));
}

// The brain reads its end; if it does not for so long it will ask again.
void Logger::answer(const ipc::Json& body) {
  const auto sent = ipc::send_packet(control_.get(), body, {}, Deadline::in(answer_patience));
  if (!sent) std::fprintf(stderr, "bulkhead-logger: %s\n", sent.error().to_string().c_str());
}

void Logger::serve(Id id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;  // removed since epoll saw it
  after_turn(id, found->second.stream->turn(scratch_, LogStream::Clock::now()));
}

void Logger::after_turn(Id id, LogStream::Turn turn) {
  LogStream& stream = *streams_.at(id).stream;
  if (const int error = stream.take_news_of_failure(); error != 0) {
    std::fprintf(stderr, "bulkhead-logger: %s: %s (its output is %s until it works)\n",
                 stream.settings().path.c_str(), std::strerror(error),
                 stream.settings().drop ? "dropped" : "held back");
  }
  if (turn == LogStream::Turn::ended) {
    stream.settle(LogStream::Clock::now());
    return forget(id);
  }
  const bool blocked = turn == LogStream::Turn::blocked;
  if (blocked) arm(id, false);
  if (blocked || stream.source().dropped() > 0) troubled_.insert(id);
}

void Logger::retry_troubled() {
  if (relief_.took_anything()) {
    for (const auto& [id, entry] : streams_) {
      if (entry.stream->source().dropped() > 0) troubled_.insert(id);
    }
  }
  const auto now = LogStream::Clock::now();
  std::erase_if(troubled_, [&](Id id) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return true;
    LogStream& stream = *found->second.stream;
    if (!stream.may_try(now)) return false;
    arm(id, true);  // a turn will show whether it is still blocked
    return stream.settle(now);
  });
}

// Not more than lies there now: who goes on writing does not keep us here.
void Logger::write_what_is_there(LogStream& stream) {
  const std::uint64_t goal = stream.moved() + stream.source().readable();
  while (stream.moved() < goal) {
    if (stream.turn(scratch_, LogStream::Clock::now()) != LogStream::Turn::moved) break;
  }
  stream.settle(LogStream::Clock::now());
}

void Logger::write_all() {
  for (const auto& [id, entry] : streams_) write_what_is_there(*entry.stream);
}

void Logger::arm(Id id, bool on) {
  Entry& entry = streams_.at(id);
  if (entry.armed == on) return;
  entry.armed = on;
  const int fd = entry.stream->source().fd();
  if (!on) {
    ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  } else if (const auto polled = poll_for(poll_.get(), fd, id); !polled) {
    std::fprintf(stderr, "bulkhead-logger: %s: %s\n", entry.stream->settings().name.c_str(),
                 polled.error().to_string().c_str());
  }
}

void Logger::forget(Id id) {
  arm(id, false);
  by_name_.erase(streams_.at(id).stream->settings().name);
  streams_.erase(id);
}

}  // namespace bulkhead::supervisor
