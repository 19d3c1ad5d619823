// When a worker can be counted on: what "ready" says.
#include "supervisor/config_draft.hpp"
#include "supervisor/config_keys.hpp"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
using json_source::in_quotes;

constexpr std::uint64_t ready_fd_max = 1023;  // what a program may have open by default

// A number that belongs to one type of readiness; nullopt: not there, or wrong, which has been said.
std::optional<std::uint64_t> read_ready_number(const ObjectAt& section, const Ready& ready,
                                               ReadyType type, std::string_view key,
                                               std::uint64_t min, std::uint64_t max,
                                               std::string_view expected) {
  const std::string word{config_keys::word(config_keys::ready_type, type)};
  const auto found = section.find(key);
  if (!found) {
    if (ready.type == type) section.missing(key, "expected the " + std::string(expected));
    return std::nullopt;
  }
  const auto number = read_integer(*found, min, max);
  if (!section.has("type")) {
    section.missing("type", "expected " + in_quotes(word) + " beside " +
                                (type == ReadyType::fd ? "an " : "a ") + std::string(key));
  } else if (ready.type != type) {
    section.wrong_at_key(key, in_quotes(std::string(key)) +
                                  " without effect (expected with \"type\": " + in_quotes(word) +
                                  ", or not at all)");
  }
  return number;
}

}  // namespace

void read_ready(const At& at, Ready& into) {
  if (at.value->type == json_source::Value::Type::string) {
    return at.wrong_type("object", "write {\"type\": " + in_quotes(at.value->text) + "}");
  }
  const ObjectAt section(at, config_keys::ready);
  if (const auto found = section.find("type"))
    keep(into.type, read_enum(*found, config_keys::ready_type));
  if (const auto found = section.find("timeout")) {
    keep(into.timeout, read_duration(*found, 1ms, 24h));
  }
  const auto port =
      read_ready_number(section, into, ReadyType::port, "port", 1, 65535,
                        R"(port that answers when the worker is ready, such as "port": 8080)");
  if (port) into.port = static_cast<std::uint16_t>(*port);
  const auto fd = read_ready_number(
      section, into, ReadyType::fd, "fd", 3, ready_fd_max,
      R"(descriptor to which the worker writes a newline when it is ready, such as "fd": 3)");
  if (fd) into.fd = static_cast<int>(*fd);
}

// The numbers from 3 on are those of the sockets, then of the control descriptor.
void check_ready_fd(const ObjectAt& section, const WorkerConfig& worker) {
  if (worker.runtime) {
    section.wrong_at_key(
        "ready",
        "ready \"fd\" is for programs without the runtime, whose control descriptor may "
        "be in its place (add \"runtime\": false, or write \"type\": \"notify\")");
  } else if (worker.ready.fd < 3 + static_cast<int>(worker.sockets.size())) {
    section.wrong_at_key("ready", "descriptor " + std::to_string(worker.ready.fd) +
                                      " is that of a socket (expected one from " +
                                      std::to_string(3 + worker.sockets.size()) + " on)");
  }
}

}  // namespace bulkhead::supervisor
