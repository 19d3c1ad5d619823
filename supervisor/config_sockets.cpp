// The sockets that the keeper holds for workers: where each listens, and which worker is given which.
#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/nearest.hpp"
#include "supervisor/config_draft.hpp"
#include "supervisor/config_keys.hpp"

namespace bulkhead::supervisor {
namespace {

using json_source::in_quotes;

constexpr std::string_view socket_expected =
    R"(expected "tcp:127.0.0.1:8080", "tcp:[::1]:8080", port 0 for any, or "unix:/path")";
constexpr std::size_t sockets_max = 64;

bool is_address(const std::string& host, bool six) {
  unsigned char bytes[sizeof(in6_addr)];
  return ::inet_pton(six ? AF_INET6 : AF_INET, host.c_str(), bytes) == 1;
}

bool read_unix(const Draft& draft, const At& at, const std::string& text, SocketConfig& socket) {
  if (text.empty()) return at.wrong("no path (" + std::string(socket_expected) + ")"), false;
  socket.path = absolute_path(draft.config.directory, text);
  constexpr std::size_t path_max = sizeof(sockaddr_un::sun_path) - 1;
  if (socket.path.size() > path_max) {
    at.wrong("the path of a socket has " + std::to_string(socket.path.size()) +
             " bytes (expected at most " + std::to_string(path_max) + ")");
    return false;
  }
  const auto directory = std::filesystem::path(socket.path).parent_path();
  std::error_code error;
  if (draft.context.check_machine && !std::filesystem::is_directory(directory, error)) {
    at.wrong("there is no directory " + directory.string() + " (make it, or listen elsewhere)");
    return false;
  }
  return true;
}

bool read_listen(const Draft& draft, const At& at, SocketConfig& socket) {
  const auto text = read_text(at, socket_expected);
  if (!text) return false;
  socket.listen = *text;
  if (text->starts_with("tcp:")) {
    return read_tcp(at, std::string_view(*text).substr(4), socket_expected, socket);
  }
  if (text->starts_with("unix:")) return read_unix(draft, at, text->substr(5), socket);
  at.wrong(in_quotes(*text) + " is no address to listen at (" + std::string(socket_expected) + ")");
  return false;
}

}  // namespace

bool read_tcp(const At& at, std::string_view text, std::string_view expected,
              SocketConfig& socket) {
  const auto colon = text.rfind(':');
  if (colon == text.npos) return at.wrong("no port (" + std::string(expected) + ")"), false;
  std::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
  const bool six = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (six) host = host.substr(1, host.size() - 2);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), socket.port);
  if (error != std::errc() || end != port.data() + port.size()) {
    at.wrong(in_quotes(std::string(port)) + " is no port (expected 0 to 65535)");
    return false;
  }
  socket.host = host;
  if (is_address(socket.host, six)) return true;
  at.wrong(in_quotes(socket.host) +
           " is no address in numbers (expected one such as 127.0.0.1, 0.0.0.0 or [::1])");
  return false;
}

bool same_place(const SocketConfig& a, const SocketConfig& b) {
  if (!a.path.empty() || !b.path.empty()) return a.path == b.path;
  return a.port != 0 && a.port == b.port && a.host == b.host;
}

void read_sockets(Draft& draft, const At& at) {
  auto& sockets = draft.config.sockets;
  for (const auto& [name, name_at, socket_at] : entries(at)) {
    check_name(name_at, socket_at, name, "a socket");
    SocketConfig socket;
    socket.name = name;
    const ObjectAt section(socket_at, config_keys::socket,
                           R"(expected {"listen": "tcp:127.0.0.1:8080"})");
    const auto listen = section.find("listen");
    if (!listen) {
      section.missing("listen", socket_expected);
    } else if (read_listen(draft, *listen, socket)) {
      const auto twin = std::find_if(sockets.begin(), sockets.end(),
                                     [&](const auto& other) { return same_place(other, socket); });
      if (twin != sockets.end()) {
        listen->wrong("socket " + in_quotes(twin->name) + " listens at " + socket.listen +
                      " already (expected another address)");
      }
    }
    sockets.push_back(std::move(socket));
  }
  if (sockets.size() > sockets_max) {
    at.wrong(std::to_string(sockets.size()) + " sockets (expected at most " +
             std::to_string(sockets_max) + ")");
  }
}

void read_worker_sockets(const Draft& draft, const At& at, WorkerConfig& worker) {
  for (const At& element : elements(at, R"(expected names of sockets, such as ["api"])")) {
    const auto name = read_text(element);
    if (!name) continue;
    std::vector<std::string_view> known;
    for (const auto& socket : draft.config.sockets) known.push_back(socket.name);
    if (std::find(known.begin(), known.end(), *name) == known.end()) {
      const auto near = base::nearest(*name, known);
      element.wrong("unknown socket " + in_quotes(*name) +
                    (near ? " (did you mean " + in_quotes(*near) + "?)"
                          : " (expected the name of one under \"sockets\")"));
    } else if (std::find(worker.sockets.begin(), worker.sockets.end(), *name) !=
               worker.sockets.end()) {
      element.wrong("socket " + in_quotes(*name) + " a second time (name each once)");
    } else {
      worker.sockets.push_back(*name);
    }
  }
}

}  // namespace bulkhead::supervisor
