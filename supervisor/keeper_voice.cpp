#include "supervisor/keeper_voice.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

namespace bulkhead::supervisor {

Result<void> KeeperVoice::prepare() {
  const char* const found = std::getenv("NOTIFY_SOCKET");
  const std::string place = found == nullptr ? "" : found;
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  if (place.empty()) return {};
  if ((place[0] != '/' && place[0] != '@') || place.size() >= sizeof address_.sun_path) {
    return make_error(
        Errc::unsupported,
        "NOTIFY_SOCKET=" + place +
            " is no unix socket (expected /PATH or @NAME; unset it to start without)");
  }
  address_.sun_family = AF_UNIX;
  std::memcpy(address_.sun_path, place.data(), place.size());
  if (place[0] == '@') address_.sun_path[0] = '\0';
  address_bytes_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + place.size());
  socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket_.is_open()) return errno_error(errno, "make a socket for NOTIFY_SOCKET=" + place);
  return {};
}

void KeeperVoice::say(std::string_view text) noexcept {
  unsaid_bytes_ = std::min(text.size(), unsaid_.size());
  std::memcpy(unsaid_.data(), text.data(), unsaid_bytes_);
  retry();
}

// A manager that is gone, or does not want to hear us, is no reason to try again.
void KeeperVoice::retry() noexcept {
  if (unsaid_bytes_ == 0 || !socket_.is_open()) return;
  const auto* to = reinterpret_cast<const sockaddr*>(&address_);
  const ssize_t n = ::sendto(socket_.get(), unsaid_.data(), unsaid_bytes_,
                             MSG_DONTWAIT | MSG_NOSIGNAL, to, address_bytes_);
  const bool later = n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS);
  if (!later) unsaid_bytes_ = 0;
}

}  // namespace bulkhead::supervisor
