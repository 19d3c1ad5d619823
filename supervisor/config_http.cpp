// Where the web process serves, and under which names; and whether that place is free on this machine.
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/fd.hpp"
#include "supervisor/config_draft.hpp"

namespace bulkhead::supervisor {
namespace {

using json_source::in_quotes;

// Workers' sockets have no dot in their names, so none is this one.
constexpr const char* http_name = "supervisor.http";
constexpr std::string_view http_expected =
    R"(expected "127.0.0.1:9464", "[::1]:9464", port 0 for any; to be reached from elsewhere "0.0.0.0:9464")";
constexpr std::string_view hosts_expected = R"(expected names such as ["metrics.example.org"])";
constexpr std::size_t hosts_max = 64, host_bytes_max = 253;

// 0, or what the system says to whoever wants to listen there.
int try_to_listen(const SocketConfig& socket) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  const std::string port = std::to_string(socket.port);
  if (::getaddrinfo(socket.host.c_str(), port.c_str(), &hints, &found) != 0) return EADDRNOTAVAIL;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> address(found, &::freeaddrinfo);
  const base::UniqueFd fd{::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const int on = 1;  // as the brain does: connections that linger are no obstacle
  const bool free =
      fd.is_open() && ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
      ::bind(fd.get(), address->ai_addr, address->ai_addrlen) == 0 && ::listen(fd.get(), 1) == 0;
  return free ? 0 : errno;
}

void check_is_free(const At& at, const SocketConfig& socket) {
  const int error = try_to_listen(socket);
  if (error == 0) return;
  const std::string remedy =
      error == EADDRINUSE ? "somebody else listens there: stop that program, or write another port"
      : error == EADDRNOTAVAIL ? "expected an address of this machine, such as 127.0.0.1"
      : error == EACCES        ? "expected a port that we may take, such as 9464"
                               : "expected an address at which this machine can listen";
  at.wrong("cannot listen at " + socket.listen + ": " + std::strerror(error) + " (" + remedy + ")");
}

bool is_host_name(const std::string& name) {
  return !name.empty() && name.size() <= host_bytes_max &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
         });
}

void read_hosts(const At& at, std::vector<std::string>& hosts) {
  for (const At& element : elements(at, hosts_expected)) {
    auto name = read_text(element, hosts_expected);
    if (!name) continue;
    if (!is_host_name(*name)) {
      element.wrong(in_quotes(*name) +
                    " is no name of a host (expected one such as \"metrics.example.org\", without "
                    "scheme and port)");
      continue;
    }
    std::transform(name->begin(), name->end(), name->begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    hosts.push_back(std::move(*name));
  }
  if (hosts.size() > hosts_max) {
    at.wrong(std::to_string(hosts.size()) + " names (expected at most " +
             std::to_string(hosts_max) + ")");
  }
}

}  // namespace

std::vector<SocketConfig> SystemConfig::listeners() const {
  auto all = sockets;
  if (http) all.push_back(*http);
  return all;
}

void read_http(Draft& draft, const ObjectAt& section) {
  if (const auto hosts = section.find("http_hosts")) {
    read_hosts(*hosts, draft.config.http_hosts);
    if (!section.has("http") && !draft.config.http_hosts.empty()) {
      section.wrong_at_key("http_hosts",
                           R"(names without "http" (expected "http": "127.0.0.1:9464" beside it))");
    }
  }
  const auto at = section.find("http");
  if (!at) return;
  if (at->value->type == json_source::Value::Type::number) {  // a port alone
    return at->wrong(describe(*at->value) + " is no address (" + std::string(http_expected) + ")");
  }
  const auto text = read_text(*at, http_expected);
  SocketConfig http;
  if (!text || !read_tcp(*at, *text, http_expected, http)) return;
  http.name = http_name;
  http.listen = *text;
  const auto& sockets = draft.config.sockets;
  const auto twin = std::find_if(sockets.begin(), sockets.end(),
                                 [&](const auto& other) { return same_place(other, http); });
  if (twin != sockets.end()) {
    at->wrong("socket " + in_quotes(twin->name) + " listens at " + twin->listen +
              " already (expected another address)");
  } else if (draft.context.check_ports && http.port != 0) {
    check_is_free(*at, http);
  }
  draft.config.http = std::move(http);
}

}  // namespace bulkhead::supervisor
