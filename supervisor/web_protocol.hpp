// What the brain tells the web process over its control socket. Everything else the web process asks as
// any client does.
#pragma once

#include <string_view>

namespace bulkhead::supervisor::web_method {

// hosts: names besides localhost and the address itself; fds: ["listener"]. Comes again from each brain.
inline constexpr std::string_view serve = "web.serve";

}  // namespace bulkhead::supervisor::web_method
