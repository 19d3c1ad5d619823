// What can go wrong, as values. Every fallible call of the library returns Result<T>; nothing throws
// across this API. An Error is a code to act on and a sentence that names the thing.
#pragma once

#include <boost/assert/source_location.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <string>
#include <type_traits>

namespace bulkhead {

// Bulkhead's own codes. What the operating system reports stays in std/Boost's system category.
enum class Errc {
  timed_out = 1,       // the deadline passed; nothing was sent or taken
  stopped,             // the supervisor asked this worker to stop
  closed,              // this end, or the other, closed the channel on purpose
  peer_died,           // the process at the other end is dead, by the kernel's word
  would_block,         // a try_ call could not act at once
  message_too_big,     // larger than the channel's max_message
  out_of_budget,       // a limit that we set ourselves is reached
  protocol_violation,  // a peer sent or wrote what the protocol forbids
  version_mismatch,    // the two ends speak different protocol or layout versions
  not_found,
  already_exists,
  invalid_argument,
  not_permitted,
  unsupported,  // this kernel or this transport cannot do it
  exec_failed,  // a program could not be started; the context says at which stage
  bad_config,
  no_system,         // no supervisor is running under that name
  remote_error,      // the service answered with an error of its own
  method_not_found,  // the service has no such method
  cancelled,
  task_failed,  // a pool's task threw
};

const boost::system::error_category& bulkhead_category() noexcept;
boost::system::error_code make_error_code(Errc) noexcept;

struct Error {
  boost::system::error_code code;
  std::string context;  // names the thing and, where there is one, the remedy

  bool is(Errc wanted) const noexcept;
  std::string to_string() const;  // "context: message of the code"
};

// Makes `result.value()` on a failure throw boost::system::system_error with the whole text.
[[noreturn]] void throw_exception_from_error(const Error&, const boost::source_location&);

template <class T>
using Result = boost::system::result<T, Error>;

Error make_error(Errc, std::string context);
Error errno_error(int error_number, std::string context);

// Our own bugs: on in every build; aborts, and the supervisor restarts the process.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;
#define BULKHEAD_ASSERT(expression) \
  ((expression) ? void(0) : ::bulkhead::assertion_failed(#expression, __FILE__, __LINE__))

}  // namespace bulkhead

template <>
struct boost::system::is_error_code_enum<bulkhead::Errc> : std::true_type {};
