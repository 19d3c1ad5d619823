#include "supervisor/held_sockets.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

namespace bulkhead::supervisor {
namespace {

constexpr std::string_view socket_prefix = "socket/";

// Where it listens is what it is: another name for the same place is the same socket. Of those whose port the
// kernel chooses each is one of its own.
std::string key_of(const SocketConfig& socket) {
  if (!socket.path.empty()) return "unix:" + socket.path;
  const std::string place = "tcp:" + socket.host + ":" + std::to_string(socket.port);
  return socket.port != 0 ? place : place + "/" + socket.name;
}

struct Address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
};

Address address_of(const SocketConfig& socket) {
  Address address;
  if (!socket.path.empty()) {
    auto& path = reinterpret_cast<sockaddr_un&>(address.bytes);
    path.sun_family = AF_UNIX;
    std::memcpy(path.sun_path, socket.path.data(), socket.path.size());
    address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket.path.size() + 1);
  } else if (socket.host.find(':') != std::string::npos) {
    auto& six = reinterpret_cast<sockaddr_in6&>(address.bytes);
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(socket.port);
    ::inet_pton(AF_INET6, socket.host.c_str(), &six.sin6_addr);
    address.size = sizeof six;
  } else {
    auto& four = reinterpret_cast<sockaddr_in&>(address.bytes);
    four.sin_family = AF_INET;
    four.sin_port = htons(socket.port);
    ::inet_pton(AF_INET, socket.host.c_str(), &four.sin_addr);
    address.size = sizeof four;
  }
  return address;
}

// The file of a socket outlives who listened there, and nobody can listen there again before it is gone.
void remove_if_deserted(const SocketConfig& socket, const Address& address) {
  struct stat status {};
  if (::lstat(socket.path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  const base::UniqueFd probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  const auto* to = reinterpret_cast<const sockaddr*>(&address.bytes);
  if (::connect(probe.get(), to, address.size) != 0 && errno == ECONNREFUSED) {
    (void)::unlink(socket.path.c_str());
  }
}

Result<base::UniqueFd> listen_at(const SocketConfig& socket) {
  const Address address = address_of(socket);
  const auto fail = [&](const char* what) {
    const std::string remedy =
        errno == EADDRINUSE
            ? " (somebody else listens there: stop that program, or write another address)"
            : "";
    return errno_error(errno, "socket " + socket.name + ": " + what + " " + socket.listen + remedy);
  };
  base::UniqueFd fd{::socket(address.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd.is_open()) return fail("make a socket for");
  const int on = 1;
  if (socket.path.empty()) {
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
      return fail("prepare");
  } else {
    remove_if_deserted(socket, address);
  }
  const auto* at = reinterpret_cast<const sockaddr*>(&address.bytes);
  if (::bind(fd.get(), at, address.size) != 0) return fail("listen at");
  if (::listen(fd.get(), SOMAXCONN) != 0) return fail("listen at");
  return fd;
}

}  // namespace

std::string bound_address(int fd) {
  Address address;
  address.size = sizeof address.bytes;
  auto* into = reinterpret_cast<sockaddr*>(&address.bytes);
  if (::getsockname(fd, into, &address.size) != 0) return "";
  char text[INET6_ADDRSTRLEN] = {};
  if (address.bytes.ss_family == AF_UNIX) {
    return std::string("unix:") + reinterpret_cast<const sockaddr_un&>(address.bytes).sun_path;
  }
  if (address.bytes.ss_family == AF_INET6) {
    const auto& six = reinterpret_cast<const sockaddr_in6&>(address.bytes);
    ::inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text);
    return "tcp:[" + std::string(text) + "]:" + std::to_string(ntohs(six.sin6_port));
  }
  const auto& four = reinterpret_cast<const sockaddr_in&>(address.bytes);
  ::inet_ntop(AF_INET, &four.sin_addr, text, sizeof text);
  return "tcp:" + std::string(text) + ":" + std::to_string(ntohs(four.sin_port));
}

HeldSockets::HeldSockets(KeeperClient& keeper) : keeper_(keeper) {
  std::vector<std::string> tags;
  for (const auto& entry : keeper_.entries(socket_prefix)) tags.push_back(entry.tag);
  for (const auto& tag : tags) open_[tag.substr(socket_prefix.size())] = keeper_.take(tag);
}

Result<void> HeldSockets::open(const std::vector<SocketConfig>& wanted) {
  std::map<std::string, base::UniqueFd> fresh;
  const auto give_up = [&](Error error) {
    for (const auto& [key, fd] : fresh) {
      (void)keeper_.drop(std::string(socket_prefix) + key);
      if (key.starts_with("unix:")) (void)::unlink(key.c_str() + 5);
    }
    return error;
  };
  for (const auto& socket : wanted) {
    const std::string key = key_of(socket);
    if (open_.contains(key)) continue;
    auto fd = listen_at(socket);
    if (!fd) return give_up(fd.error());
    const int number = fd->get();
    fresh[key] = std::move(*fd);
    if (auto kept = keeper_.put(std::string(socket_prefix) + key, number); !kept) {
      return give_up(kept.error());
    }
  }
  open_.merge(fresh);
  return {};
}

void HeldSockets::keep_only(const std::vector<SocketConfig>& wanted) {
  std::erase_if(open_, [&](const auto& entry) {
    const auto& key = entry.first;
    const bool stays = std::any_of(wanted.begin(), wanted.end(),
                                   [&](const auto& socket) { return key_of(socket) == key; });
    if (stays) return false;
    (void)keeper_.drop(std::string(socket_prefix) + key);
    if (key.starts_with("unix:")) (void)::unlink(key.c_str() + 5);
    return true;
  });
}

std::optional<int> HeldSockets::held(const SocketConfig& socket) const {
  const auto found = open_.find(key_of(socket));
  if (found == open_.end()) return std::nullopt;
  return found->second.get();
}

int HeldSockets::fd(const SocketConfig& socket) const { return open_.at(key_of(socket)).get(); }

std::vector<int> HeldSockets::of(const WorkerConfig& worker, const SystemConfig& config) const {
  std::vector<int> fds;
  for (const auto& name : worker.sockets) {
    const auto socket = std::find_if(config.sockets.begin(), config.sockets.end(),
                                     [&](const auto& known) { return known.name == name; });
    BULKHEAD_ASSERT(socket != config.sockets.end());  // parse_config refuses unknown ones
    fds.push_back(fd(*socket));
  }
  return fds;
}

nlohmann::json HeldSockets::status(const SystemConfig& config) const {
  auto rows = nlohmann::json::array();
  for (const auto& socket : config.sockets) {
    auto workers = nlohmann::json::array();
    for (const auto& worker : config.workers) {
      const auto& named = worker.sockets;
      if (!worker.leaving && std::find(named.begin(), named.end(), socket.name) != named.end()) {
        workers.push_back(worker.name);
      }
    }
    const auto held = open_.find(key_of(socket));  // none when the system ends
    rows.push_back(
        {{"name", socket.name},
         {"listen", socket.listen},
         {"address", held == open_.end() ? nlohmann::json()
                                         : nlohmann::json(bound_address(held->second.get()))},
         {"workers", std::move(workers)}});
  }
  return rows;
}

}  // namespace bulkhead::supervisor
