#include "workers/inherited.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string>

namespace bulkhead::workers {
namespace {

constexpr const char* control_variable = "BULKHEAD_CONTROL_FD";
constexpr const char* generation_variable = "BULKHEAD_GENERATION";

template <class Number>
Result<Number> number_in(const char* variable, const char* text) {
  Number number = 0;
  const auto* const end = text + std::strlen(text);
  const auto [rest, error] = std::from_chars(text, end, number);
  if (error == std::errc() && rest == end && number >= 0) return number;
  return make_error(Errc::invalid_argument,
                    std::string(variable) + " is \"" + text + "\" and not a number");
}

}  // namespace

Result<std::optional<Inherited>> take_inherited() {
  const char* const control = std::getenv(control_variable);
  if (control == nullptr) return std::optional<Inherited>();
  const auto fd = number_in<int>(control_variable, control);
  if (!fd) return fd.error();
  Inherited inherited;
  if (const char* const text = std::getenv(generation_variable)) {
    const auto generation = number_in<std::uint32_t>(generation_variable, text);
    if (!generation) return generation.error();
    inherited.generation = *generation;
  }
  int type = 0;
  socklen_t size = sizeof(type);
  if (::getsockopt(*fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) {
    return make_error(Errc::invalid_argument, std::string(control_variable) + "=" + control +
                                                  " is not a control socket of a supervisor");
  }
  if (auto set = base::set_cloexec(*fd, true); !set) return set.error();
  inherited.control.reset(*fd);
  ::unsetenv(control_variable);
  return std::optional<Inherited>(std::move(inherited));
}

}  // namespace bulkhead::workers
