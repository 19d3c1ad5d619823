// Which names a request may call us by. A page from elsewhere can have its own name lead to our address (DNS
// rebinding), and its browser then asks us as if we were that page; but it still says that name. Used by the web
// server; knows nothing of HTTP beyond this one header.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::supervisor {

class WebHosts {
 public:
  explicit WebHosts(std::vector<std::string> names = {}) : names_(std::move(names)) {}

  // `host`: the header's value, "NAME", "NAME:PORT", "1.2.3.4:PORT" or "[::1]:PORT"; the port may be any, since
  // what lies between may map it. `address`: in numbers, where this very connection arrived.
  bool knows(std::string_view host, std::string_view address) const;

 private:
  std::vector<std::string> names_;  // in lower case
};

}  // namespace bulkhead::supervisor
