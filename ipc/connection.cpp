// bulkhead::connect() and what stands on it: requests, events, and clients of services.
#include <bulkhead/connection.hpp>

#include <poll.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "ipc/control_client.hpp"
#include "ipc/control_protocol.hpp"
#include "ipc/endpoint.hpp"
#include "ipc/find_system.hpp"

namespace bulkhead {
namespace {

using ipc::ControlClient;
using nlohmann::json;

// What we ask for at a time; a request that may wait longer is asked again.
constexpr std::chrono::milliseconds patience_max = std::chrono::hours(1);

constexpr int connect_deaths_max = 5;

std::uint64_t patience_ms(Deadline deadline) {
  const auto left = std::min<Deadline::clock::duration>(deadline.remaining(), patience_max);
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<std::uint64_t>(ms);
}

// A session's end in this process. The supervisor has opened the other one in the worker.
Result<Channel> open_session(const std::string& service, base::UniqueFd socket) {
  ipc::EndSpec spec;
  spec.link = service;
  spec.peer_life = ipc::PeerLife::single;
  auto endpoint = ipc::open_endpoint(Transport::unix_socket, std::move(spec));
  if (!endpoint) return endpoint.error();
  ipc::LinkUpdate connection{ipc::LinkUpdate::Kind::sockets, 1, {}};
  connection.fds.push_back(std::move(socket));
  (*endpoint)->post(std::move(connection));
  return Channel(std::move(*endpoint));
}

bool hung_up(Channel& channel) noexcept {
  pollfd entry{channel.endpoint().receive_plan().fd, 0, 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

// Asks over a connection of its own, so that clients are independent of the Connection's thread.
class ServiceConnector final : public Connector {
 public:
  ServiceConnector(SystemIdentity system, std::string service)
      : system_(std::move(system)), service_(std::move(service)) {}

  Result<Channel*> connect(Deadline deadline) override {
    // A server that died between two calls has failed neither of them.
    if (channel_ && hung_up(*channel_)) channel_.reset();
    for (int deaths = 0; !channel_;) {
      auto session = ask(deadline);
      if (session) {
        channel_ = std::move(*session);
      } else if (!may_ask_again(session.error(), deadline, deaths)) {
        return session.error();
      }
    }
    return &*channel_;
  }
  void drop() noexcept override { channel_.reset(); }

 private:
  Result<Channel> ask(Deadline deadline) {
    ControlClient control(system_);
    const ipc::ServiceConnect wanted{service_, patience_ms(deadline)};
    auto packet = control.call(ipc::method::service_connect, ipc::encode(wanted), deadline);
    if (!packet) return packet.error();
    auto socket = ipc::fd_named(*packet, "socket");
    if (!socket) return socket.error();
    return open_session(service_, std::move(*socket));
  }

  // The provider may die while it is being connected: nothing was asked of it yet. It may also be
  // that it dies of being connected.
  static bool may_ask_again(const Error& error, Deadline deadline, int& deaths) {
    if (deadline.stopped() || deadline.expired()) return false;
    if (error.is(Errc::peer_died)) return ++deaths < connect_deaths_max;
    return error.is(Errc::timed_out);
  }

  SystemIdentity system_;
  std::string service_;
  std::optional<Channel> channel_;
};

// Reads the event stream over one connection after the other, and tells each event once.
class Follower {
 public:
  using Take = std::function<bool(const json&)>;
  Follower(SystemIdentity system, std::uint64_t since, const Take& take)
      : control_(std::move(system)), next_(std::max<std::uint64_t>(since, 1)), take_(take) {}

  Result<void> until(Deadline deadline) {
    while (going_) {
      auto caught_up = read_page(deadline);
      if (!caught_up) return caught_up.error();
      if (*caught_up) {
        if (auto followed = follow(deadline); !followed) return followed;
      }
    }
    return {};
  }

 private:
  // True when the page was the last one: from here on events come by themselves.
  Result<bool> read_page(Deadline deadline) {
    auto packet =
        control_.call(ipc::method::events, {{"since", next_}, {"follow", true}}, deadline);
    if (!packet) return packet.error();
    json events = json::array();
    std::uint64_t next = 0, gap = 0;
    bool complete = true;
    ipc::FieldReader fields("events (answer)", packet->body["result"]);
    fields.required("events", events).required("next", next).optional("gap", gap);
    if (fields.optional("complete", complete).failed()) return fields.error();
    if (gap > 0 && going_) going_ = take_({{"type", "events.gap"}, {"missed", gap}});
    for (const auto& event : events) {
      if (going_) going_ = take_(event);
    }
    next_ = std::max(next_, next);
    return complete;
  }

  Result<void> follow(Deadline deadline) {
    while (going_) {
      const auto packet = control_.next_notification(deadline);
      if (!packet) return packet.error();
      if (!packet->has_value()) return {};  // the brain died
      const auto message = ipc::read_message((*packet)->body).value();
      if (message.method != ipc::method::event) continue;
      std::uint64_t number = 0;
      ipc::FieldReader fields("event", *message.content);
      if (fields.required("seq", number).failed()) return fields.error();
      if (number < next_) continue;  // told already
      if (number > next_) {          // some are missing: read them
        control_.disconnect();
        return {};
      }
      next_ = number + 1;
      going_ = take_(*message.content);
    }
    return {};
  }

  ControlClient control_;
  std::uint64_t next_;
  const Take& take_;
  bool going_ = true;
};

}  // namespace

struct Connection::State {
  ControlClient control;
};

Connection::Connection(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

const SystemIdentity& Connection::system() const noexcept { return state_->control.identity(); }

Result<json> Connection::request(std::string_view method, json params, Deadline deadline) {
  auto packet = state_->control.call(method, std::move(params), deadline);
  if (!packet) return packet.error();
  return std::move(packet->body["result"]);
}

Client Connection::client(std::string_view service) {
  return Client(std::make_unique<ServiceConnector>(system(), std::string(service)));
}

Result<void> Connection::follow_events(std::uint64_t since,
                                       const std::function<bool(const json&)>& take,
                                       Deadline deadline) {
  return Follower(system(), since, take).until(deadline);
}

Result<Connection> connect(std::string_view name_or_path, Deadline deadline) {
  auto path = ipc::find_control_socket(name_or_path, deadline);
  if (!path) return path.error();
  auto control = ControlClient::open(std::move(*path), deadline);
  if (!control) return control.error();
  return Connection(std::make_shared<Connection::State>(Connection::State{std::move(*control)}));
}

}  // namespace bulkhead
