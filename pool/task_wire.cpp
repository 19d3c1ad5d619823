#include "pool/task_wire.hpp"

#include <bulkhead/detail/task_function.hpp>

#include <cxxabi.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <typeinfo>

#include "pool/packet.hpp"

namespace bulkhead {
namespace pool {
namespace {

// What std::throw_with_nested throws is of a type of its own, derived from the one that was meant.
std::string without_nesting(const std::string& mangled) {
  constexpr std::string_view prefix = "St17_Nested_exceptionI";
  if (!mangled.starts_with(prefix) || !mangled.ends_with('E')) return mangled;
  return mangled.substr(prefix.size(), mangled.size() - prefix.size() - 1);
}

// "std::runtime_error" of "St13runtime_error"
std::string readable_type(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(mangled, nullptr, nullptr, &status), &std::free);
  return status == 0 ? name.get() : mangled;
}

// Deeper nesting is somebody's loop.
constexpr std::size_t nesting_max = 16;

struct Described {
  FailureCause cause = FailureCause::exception;
  int code = 0;
  bool is_ours = true;  // the code's category
  std::string context;
  std::vector<std::pair<std::string, std::string>> thrown;  // mangled type, what
};

void describe_nested(const std::exception& exception, Described& to);

void describe_current(Described& to) {
  if (to.thrown.size() == nesting_max) return;
  try {
    throw;
  } catch (const std::exception& exception) {
    to.thrown.emplace_back(typeid(exception).name(), exception.what());
    describe_nested(exception, to);
  } catch (...) {
    const std::type_info* const type = abi::__cxa_current_exception_type();
    to.thrown.emplace_back(type != nullptr ? type->name() : "?", "");
  }
}

void describe_nested(const std::exception& exception, Described& to) {
  try {
    std::rethrow_if_nested(exception);
  } catch (...) {
    describe_current(to);
  }
}

Described describe() {
  Described described;
  try {
    throw;
  } catch (const detail::ItemStopped&) {
    described.cause = FailureCause::timed_out;
    described.code = static_cast<int>(Errc::timed_out);
    described.context = "the item took longer than its time limit, and stopped";
  } catch (const detail::TaskError& failed) {
    described.cause = FailureCause::error;
    described.code = failed.error.code.value();
    described.is_ours = failed.error.code.category() == bulkhead_category();
    described.context = failed.error.context;
  } catch (...) {
    describe_current(described);
  }
  return described;
}

TaskFailure unreadable_failure() {
  TaskFailure failure;
  failure.error = make_error(Errc::task_failed, "its worker's report cannot be read");
  return failure;
}

}  // namespace

Result<void> check_attachments(std::size_t count) {
  if (count <= attachments_max) return {};
  return make_error(Errc::out_of_budget, std::to_string(count) +
                                             " shared arrays and buffers in one call, of " +
                                             std::to_string(attachments_max) + " at the most");
}

Result<void> send_attachment(int socket, std::uint64_t number, int fd, bool wait) {
  return send_packet(socket, bytes_of_value(number), std::array{fd}, wait);
}

Result<std::optional<Arrival>> take_attachment(int socket, bool wait) {
  std::array<std::byte, sizeof(std::uint64_t)> bytes;
  auto packet = receive_packet(socket, bytes, wait);
  if (!packet) return packet.error();
  if (!*packet) return std::optional<Arrival>();
  if ((*packet)->bytes != bytes.size() || (*packet)->fds.size() != 1) {
    return make_error(Errc::protocol_violation, "a packet that is no attachment");
  }
  Arrival arrival{0, std::move((*packet)->fds.front())};
  std::memcpy(&arrival.number, bytes.data(), sizeof arrival.number);
  return std::optional<Arrival>(std::move(arrival));
}

// What is thrown while an exception is described, by its what() or for want of memory, must not end the worker.
Bytes pack_current_exception() noexcept {
  try {
    const Described described = describe();
    detail::BodyWriter body;
    body.write(described.cause);
    body.write(described.code);
    body.write(described.is_ours);
    body.write(described.context);
    body.write(described.thrown);
    return body.take_bytes();
  } catch (...) {
    return {};
  }
}

TaskFailure unpack_failure_report(std::span<const std::byte> bytes) {
  detail::BodyReader from(bytes);
  const auto cause = from.read<FailureCause>();
  const auto code = from.read<int>();
  const auto is_ours = from.read<bool>();
  auto context = from.read<std::string>();
  const auto thrown = from.read<std::vector<std::pair<std::string, std::string>>>();
  if (!cause || !code || !is_ours || !context || !thrown) return unreadable_failure();
  TaskFailure failure;
  failure.cause = *cause;
  for (const auto& [thrown_type, what] : *thrown) {
    const std::string type = without_nesting(thrown_type);
    failure.thrown.push_back({readable_type(type.c_str()), what, type});
  }
  if (*cause == FailureCause::error || *cause == FailureCause::timed_out) {
    failure.error.code = *is_ours
                             ? make_error_code(static_cast<Errc>(*code))
                             : boost::system::error_code(*code, boost::system::system_category());
    failure.error.context = std::move(*context);
  } else if (failure.thrown.empty()) {
    return unreadable_failure();
  } else {
    failure.cause = failure.thrown.back().type == "std::bad_alloc" ? FailureCause::out_of_memory
                                                                   : FailureCause::exception;
    failure.error = make_error(Errc::task_failed, failure.in_words());
  }
  return failure;
}

}  // namespace pool
}  // namespace bulkhead
