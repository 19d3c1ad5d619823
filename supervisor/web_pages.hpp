// What the web process answers, path by path, out of what the brain said. Pure; used by the web server, which knows
// what HTTP is.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "supervisor/web_feed.hpp"

namespace bulkhead::supervisor {

struct WebPage {
  unsigned status = 200;  // of HTTP
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

// Whether there is such a page; `path` without a query.
bool is_web_page(std::string_view path) noexcept;
// Of one that there is. 503 where the brain did not answer, with why.
WebPage web_page(std::string_view path, const WebSnapshot&);

// The same, made once of each snapshot. Threads: one at a time.
class WebPages {
 public:
  std::shared_ptr<const WebPage> page(const std::string& path, const WebSnapshot&);

 private:
  std::uint64_t of_ = 0;  // WebSnapshot::serial
  std::map<std::string, std::shared_ptr<const WebPage>> made_;
};

}  // namespace bulkhead::supervisor
