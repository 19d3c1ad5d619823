#include "supervisor/web_hosts.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cctype>
#include <optional>

namespace bulkhead::supervisor {
namespace {

bool is_port(std::string_view text) {
  return text.size() <= 5 && std::all_of(text.begin(), text.end(),
                                         [](unsigned char c) { return std::isdigit(c) != 0; });
}

// The name or address alone, in lower case; "" when it is no host at all.
std::string name_in(std::string_view host) {
  std::string_view name = host, port;
  if (host.starts_with('[')) {
    const auto end = host.find(']');
    if (end == host.npos) return "";
    name = host.substr(1, end - 1);
    port = host.substr(end + 1);
    if (!port.empty() && !port.starts_with(':')) return "";
  } else if (const auto colon = host.find(':'); colon != host.npos) {
    name = host.substr(0, colon);
    port = host.substr(colon);
  }
  if (!port.empty() && !is_port(port.substr(1))) return "";
  if (name.ends_with('.')) name.remove_suffix(1);  // the same name, said to be complete
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

// There are several ways to write an address of IPv6. One of IPv4 that came in over IPv6 is one of IPv4.
std::optional<std::string> bytes_of(const std::string& address) {
  std::string bytes(sizeof(in6_addr), '\0');
  if (::inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) return bytes.substr(0, 4);
  if (::inet_pton(AF_INET6, address.c_str(), bytes.data()) != 1) return std::nullopt;
  const bool is_mapped = IN6_IS_ADDR_V4MAPPED(reinterpret_cast<const in6_addr*>(bytes.data()));
  return is_mapped ? bytes.substr(12) : bytes;
}

}  // namespace

bool WebHosts::knows(std::string_view host, std::string_view address) const {
  const std::string name = name_in(host);
  if (name.empty()) return false;
  if (name == "localhost" || std::find(names_.begin(), names_.end(), name) != names_.end()) {
    return true;
  }
  const auto said = bytes_of(name);
  return said && said == bytes_of(std::string(address));
}

}  // namespace bulkhead::supervisor
