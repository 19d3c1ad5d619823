// One link: who, how, and how much fits.
#include <bit>

#include "base/units.hpp"
#include "ipc/queue_frame.hpp"
#include "supervisor/config_draft.hpp"
#include "supervisor/config_keys.hpp"

namespace bulkhead::supervisor {
namespace {

using json_source::in_quotes;
using Type = json_source::Value::Type;

constexpr std::uint64_t capacity_min = 4096, capacity_max = std::uint64_t{1} << 30;

std::optional<LinkEnd> read_end(const Draft& draft, const ObjectAt& section, std::string_view key) {
  const auto found = section.find(key);
  if (!found) {
    section.missing(key, "expected the name of a worker");
    return std::nullopt;
  }
  if (found->value->type == Type::array) {
    found->wrong_type("string", "a channel has one worker at each end: write the name of one");
    return std::nullopt;
  }
  return read_link_end(draft, *found);
}

void read_ends(Draft& draft, const ObjectAt& section, LinkConfig& link) {
  const auto from = read_end(draft, section, "from");
  const auto to = read_end(draft, section, "to");
  if (from && from->worker != nullptr) link.from = from->worker->name;
  if (to && to->worker != nullptr) link.to = {to->worker->name};
  if (link.from.empty() || link.to.empty()) return;
  if (from->worker == to->worker) {
    return to->at.wrong("the link leads from " + in_quotes(link.from) +
                        " to itself (expected two workers)");
  }
  if (from->worker->instances > 1 && to->worker->instances > 1) {
    to->at.wrong("a link from " + std::to_string(from->worker->instances) + " instances to " +
                 std::to_string(to->worker->instances) +
                 " (expected one instance at one end at least: put a worker in between)");
  }
}

void check_queue(const ObjectAt& section, const Draft& draft, const LinkConfig& link) {
  const WorkerConfig* const from = link.from.empty() ? nullptr : draft.find_worker(link.from);
  if (from == nullptr || from->instances == 1) return;
  section.find("from")->wrong(
      "worker " + in_quotes(link.from) + " has " + std::to_string(from->instances) +
      " instances, and a queue is filled by one (expected a worker with one "
      "instance here; the worker at \"to\" may have several)");
}

void read_max_attempts(const ObjectAt& section, LinkConfig& link) {
  const auto found = section.find("max_attempts");
  if (!found) return;
  const auto count = read_integer(*found, 1, 1000);
  if (count) link.max_attempts = static_cast<std::uint16_t>(*count);
  if (link.type != LinkType::queue) {
    section.wrong_at_key(
        "max_attempts",
        "only a queue counts attempts (write \"type\": \"queue\", or leave it out)");
  }
}

void read_lease_timeout(const ObjectAt& section, LinkConfig& link) {
  using namespace std::chrono_literals;
  const auto found = section.find("lease_timeout");
  if (!found) return;
  const bool none = found->value->type == Type::string && found->value->text == "none";
  if (!none) link.lease_timeout = read_duration(*found, 10ms, 24h);
  if (link.type != LinkType::queue) {
    section.wrong_at_key("lease_timeout",
                         "only a queue has leases (write \"type\": \"queue\", or leave it out)");
  }
}

std::string as_text(std::uint64_t size) { return "\"" + base::format_size(size) + "\""; }

void check_room(const ObjectAt& section, const LinkConfig& link) {
  if (link.transport != Transport::shm) return;
  const std::uint64_t capacity = link.options.capacity, message = link.options.max_message;
  const auto capacity_at = section.find("capacity");
  if (capacity_at && !std::has_single_bit(capacity)) {
    const std::uint64_t below = std::bit_floor(capacity);
    return capacity_at->wrong(as_text(capacity) + " is no power of two, which shm needs (write " +
                              as_text(below) +
                              (below < capacity_max ? " or " + as_text(below * 2) : "") + ")");
  }
  const bool queue = link.type == LinkType::queue;
  const std::uint64_t frame = queue ? ipc::queue_frame_bytes : 0;
  const std::uint64_t most = (capacity - 64) / 2 - frame;
  if (message <= most) return;
  const std::uint64_t needed = std::bit_ceil(2 * (message + frame) + 64);
  const auto where = section.find("max_message") ? section.find("max_message") : capacity_at;
  std::string remedy = "expected max_message " + as_text(most) + " at most";
  if (needed <= capacity_max) remedy += ", or capacity " + as_text(needed);
  where->wrong("max_message " + as_text(message) + " does not fit into capacity " +
               as_text(capacity) + " on shm, which takes messages of (capacity - 64) / 2" +
               (queue ? " - 24 in a queue (" : " (") + remedy + ")");
}

void check_waiting(const ObjectAt& section, LinkType type) {
  const std::string what(config_keys::word(config_keys::link_type, type));
  if (const auto found = section.find("overflow")) {
    const auto overflow = read_enum(*found, config_keys::overflow);
    if (overflow && *overflow != Overflow::block) {
      found->wrong("a full " + what +
                   " blocks its sender (expected \"block\", or \"type\": \"topic\")");
    }
  }
  if (const auto found = section.find("history")) {
    const auto history = read_integer(*found, 0, history_max);
    if (history && *history != 0) {
      found->wrong("a " + what + " has no history (expected 0, or \"type\": \"topic\")");
    }
  }
}

void read_options(const ObjectAt& section, LinkConfig& link) {
  if (const auto found = section.find("transport")) {
    keep(link.transport, read_enum(*found, config_keys::transport));
  }
  if (const auto found = section.find("wait")) {
    keep(link.options.wait, read_enum(*found, config_keys::wait_mode));
  }
  if (link.type != LinkType::topic) check_waiting(section, link.type);
  bool readable = true;
  const auto read = [&](std::string_view key, std::uint64_t min, std::size_t& into) {
    const auto found = section.find(key);
    if (!found) return;
    const auto size = read_size(*found, min, capacity_max);
    readable = readable && size.has_value();
    if (size) into = *size;
  };
  read("capacity", capacity_min, link.options.capacity);
  read("max_message", 1, link.options.max_message);
  if (readable) check_room(section, link);
}

void read_link(Draft& draft, const At& at, LinkConfig& link) {
  const ObjectAt section(at, config_keys::link);
  if (at.value->type != Type::object) return;
  if (const auto found = section.find("type")) {
    const auto type = read_enum(*found, config_keys::link_type);
    if (!type) return;  // what the rest may be depends on it
    link.type = *type;
  }
  if (link.type == LinkType::topic) {
    if (const auto from = read_end(draft, section, "from"); from && from->worker != nullptr) {
      link.from = from->worker->name;
    }
    read_topic_ends(draft, section, link);
  } else {
    read_ends(draft, section, link);
  }
  read_options(section, link);
  read_max_attempts(section, link);
  read_lease_timeout(section, link);
  if (link.type == LinkType::queue) check_queue(section, draft, link);
}

}  // namespace

std::optional<LinkEnd> read_link_end(const Draft& draft, const At& at) {
  const auto name = read_text(at, "the name of a worker");
  if (!name) return std::nullopt;
  const LinkEnd end{at, draft.resolve_worker(at.value->at, at, *name)};
  if (end.worker != nullptr && !end.worker->runtime) {
    at.wrong("worker " + in_quotes(*name) +
             " has \"runtime\": false and can hold no link (remove one of the two)");
  }
  return end;
}

void read_links(Draft& draft, const At& at) {
  for (const auto& [name, name_at, link_at] : entries(at)) {
    check_name(name_at, link_at, name, "a link");
    draft.link_at.push_back(link_at);
    LinkConfig& link = draft.config.links.emplace_back();
    link.name = name;
    read_link(draft, link_at, link);
  }
}

}  // namespace bulkhead::supervisor
