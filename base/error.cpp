#include <bulkhead/error.hpp>

#include <boost/system/system_error.hpp>
#include <boost/throw_exception.hpp>
#include <cstdio>
#include <cstdlib>

namespace bulkhead {
namespace {

class Category final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "bulkhead"; }
  std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::timed_out: return "the deadline passed";
      case Errc::stopped: return "asked to stop";
      case Errc::closed: return "the channel is closed";
      case Errc::peer_died: return "the process at the other end died";
      case Errc::would_block: return "not possible at once";
      case Errc::message_too_big: return "the message is larger than max_message";
      case Errc::out_of_budget: return "out of budget";
      case Errc::protocol_violation: return "the peer broke the protocol";
      case Errc::version_mismatch: return "the two ends speak different versions";
      case Errc::not_found: return "not found";
      case Errc::already_exists: return "exists already";
      case Errc::invalid_argument: return "invalid argument";
      case Errc::not_permitted: return "not permitted";
      case Errc::unsupported: return "not supported here";
      case Errc::exec_failed: return "the program could not be started";
      case Errc::bad_config: return "bad configuration";
      case Errc::no_system: return "no system is running";
      case Errc::remote_error: return "the service answered with an error";
      case Errc::method_not_found: return "the service has no such method";
      case Errc::task_failed: return "the task failed";
      case Errc::cancelled: return "cancelled";
    }
    return "unknown error " + std::to_string(value);
  }
};

}  // namespace

const boost::system::error_category& bulkhead_category() noexcept {
  static const Category category;
  return category;
}

boost::system::error_code make_error_code(Errc errc) noexcept {
  return {static_cast<int>(errc), bulkhead_category()};
}

bool Error::is(Errc wanted) const noexcept { return code == make_error_code(wanted); }

std::string Error::to_string() const {
  return context.empty() ? code.message() : context + ": " + code.message();
}

void throw_exception_from_error(const Error& error, const boost::source_location& where) {
  boost::throw_exception(boost::system::system_error(error.code, error.context), where);
}

Error make_error(Errc errc, std::string context) {
  return {make_error_code(errc), std::move(context)};
}

Error errno_error(int error_number, std::string context) {
  return {{error_number, boost::system::system_category()}, std::move(context)};
}

void assertion_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "bulkhead: bug at %s:%d: %s does not hold\n", file, line, expression);
  std::abort();
}

}  // namespace bulkhead
