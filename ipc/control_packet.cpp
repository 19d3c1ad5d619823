// The peer is not trusted here: every length, count and flag is checked before it is used, and
// whatever descriptors came along are owned before anything can fail.
#include "ipc/control_packet.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "ipc/json_bounds.hpp"

namespace bulkhead::ipc {
namespace {

//   0      4      6      8        12    14    16
//   | BHC1 | major| minor| bytes  | fds | flags | JSON ...
struct Header {
  std::array<char, 4> magic;
  std::uint16_t major, minor;
  std::uint32_t bytes;  // of the JSON, wherever it lies
  std::uint16_t fds;    // without the memfd of a large body
  std::uint16_t flags;
};
static_assert(sizeof(Header) == 16 && std::is_trivially_copyable_v<Header>);
static_assert(std::endian::native == std::endian::little, "the header is little-endian");

constexpr std::array<char, 4> magic{'B', 'H', 'C', '1'};
constexpr std::uint16_t framing_major = 1, framing_minor = 0;
constexpr std::uint16_t flag_body_in_memfd = 1;
constexpr int body_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
constexpr std::size_t fds_with_body_max = packet_fds_max + 1;
constexpr std::size_t packet_bytes_max = sizeof(Header) + packet_inline_bytes_max;

Error bad_packet(std::string what) {
  return make_error(Errc::protocol_violation, "control packet: " + std::move(what));
}

// --- sending ---------------------------------------------------------------------------------

struct Outgoing {
  Header header{};
  std::string text;  // the body
  base::UniqueFd body_fd;
  std::span<const int> fds;
};

Result<void> move_body_to_memfd(Outgoing& out) {
  auto file = base::make_memfd("bulkhead-control-body", true);
  if (!file) return file.error();
  for (std::size_t done = 0; done < out.text.size();) {
    const ssize_t n = ::write(file->get(), out.text.data() + done, out.text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "control packet: write a large body into memory");
    done += static_cast<std::size_t>(n);
  }
  if (::fcntl(file->get(), F_ADD_SEALS, body_seals | F_SEAL_SEAL) != 0) {
    return errno_error(errno, "control packet: seal a large body");
  }
  out.body_fd = std::move(*file);
  out.header.flags = flag_body_in_memfd;
  return {};
}

Result<Outgoing> prepare(const nlohmann::json& body, std::span<const int> fds) {
  if (fds.size() > packet_fds_max) {
    return make_error(Errc::invalid_argument, "control packet: " + std::to_string(fds.size()) +
                                                  " descriptors, at most " +
                                                  std::to_string(packet_fds_max) + " can go along");
  }
  if (!nests_at_most(body, json_depth_max)) {
    return make_error(Errc::invalid_argument,
                      "control packet: JSON nested deeper than " + std::to_string(json_depth_max));
  }
  Outgoing out;
  // Text from outside (a worker's status, say) may be no UTF-8; it must not make dump() throw.
  out.text = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (out.text.size() > packet_body_bytes_max) {
    return make_error(Errc::message_too_big,
                      "control packet: a body of " + std::to_string(out.text.size()) +
                          " bytes, at most " + std::to_string(packet_body_bytes_max));
  }
  out.header = {magic,
                framing_major,
                framing_minor,
                static_cast<std::uint32_t>(out.text.size()),
                static_cast<std::uint16_t>(fds.size()),
                0};
  out.fds = fds;
  if (out.text.size() > packet_inline_bytes_max) {
    if (auto moved = move_body_to_memfd(out); !moved) return moved.error();
  }
  return out;
}

// Returns 0 or an errno.
int send_once(int socket, const Outgoing& out) noexcept {
  std::array<iovec, 2> parts{{{const_cast<Header*>(&out.header), sizeof(Header)},
                              {const_cast<char*>(out.text.data()), out.text.size()}}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * fds_with_body_max)> control{};
  std::array<int, fds_with_body_max> fds{};
  std::size_t count = out.fds.size();
  std::copy(out.fds.begin(), out.fds.end(), fds.begin());
  if (out.body_fd.is_open()) fds[count++] = out.body_fd.get();

  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = out.body_fd.is_open() ? 1 : 2;
  if (count > 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
    std::memcpy(CMSG_DATA(rights), fds.data(), sizeof(int) * count);
  }
  while (::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

Result<void> send_prepared(int socket, Outgoing& out) {
  int failure = send_once(socket, out);
  if (failure == EMSGSIZE && !out.body_fd.is_open()) {  // a send buffer smaller than the default
    if (auto moved = move_body_to_memfd(out); !moved) return moved.error();
    failure = send_once(socket, out);
  }
  switch (failure) {
    case 0: return {};
    case EAGAIN:
    case ENOBUFS: return make_error(Errc::would_block, "control connection: the peer reads slowly");
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN: return make_error(Errc::closed, "control connection");
    case ETOOMANYREFS:
      return make_error(Errc::out_of_budget,
                        "control connection: too many descriptors under way (RLIMIT_NOFILE)");
    default: return errno_error(failure, "control connection: send");
  }
}

// --- receiving -------------------------------------------------------------------------------

struct Raw {
  std::unique_ptr<char[]> bytes;
  std::size_t size = 0;
  std::vector<base::UniqueFd> fds;
  bool foreign_control = false;  // ancillary data that is not descriptors
  int flags = 0;
};

void take_control(msghdr& message, Raw& raw) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
      raw.foreign_control = true;
      continue;
    }
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      raw.fds.emplace_back(fd);
    }
  }
}

// nullopt when nothing is there.
Result<std::optional<Raw>> receive_raw(int socket) {
  Raw raw;
  raw.bytes = std::make_unique_for_overwrite<char[]>(packet_bytes_max);
  raw.fds.reserve(fds_with_body_max);  // so that taking them cannot fail
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * fds_with_body_max)> control{};
  iovec part{raw.bytes.get(), packet_bytes_max};
  msghdr message{};
  ssize_t n = -1;
  do {
    message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    n = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    // A peer that dies with unread input leaves one ECONNRESET in front of what it had sent.
  } while (n < 0 && (errno == EINTR || errno == ECONNRESET));
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::optional<Raw>();
  if (n < 0 && errno == ENOTCONN) return make_error(Errc::closed, "control connection");
  if (n < 0) return errno_error(errno, "control connection: receive");
  raw.size = static_cast<std::size_t>(n);
  raw.flags = message.msg_flags;
  take_control(message, raw);
  return std::optional<Raw>(std::move(raw));
}

Result<Header> check(const Raw& raw, std::size_t body_bytes_max) {
  if ((raw.flags & MSG_CTRUNC) != 0) {
    if (raw.fds.size() < fds_with_body_max) {  // it was not the sender's fault
      return errno_error(EMFILE, "control packet: descriptors were lost; raise RLIMIT_NOFILE");
    }
    return bad_packet("more descriptors than a packet may have");
  }
  if ((raw.flags & MSG_TRUNC) != 0) return bad_packet("longer than a packet may be");
  if (raw.foreign_control) return bad_packet("ancillary data that is no descriptor");
  if (raw.size < sizeof(Header)) return bad_packet("shorter than its header");
  Header header;
  std::memcpy(&header, raw.bytes.get(), sizeof header);
  if (header.magic != magic) return bad_packet("it does not begin with BHC1");
  if (header.major != framing_major) {
    return make_error(Errc::version_mismatch,
                      "control packet: the peer frames by version " + std::to_string(header.major) +
                          "." + std::to_string(header.minor) + ", we by " +
                          std::to_string(framing_major) + "." + std::to_string(framing_minor));
  }
  if ((header.flags & ~flag_body_in_memfd) != 0) return bad_packet("unknown flags");
  const bool apart = header.flags == flag_body_in_memfd;
  if (header.bytes > body_bytes_max) return bad_packet("a body over the limit");
  if (raw.size - sizeof(Header) != (apart ? 0 : header.bytes)) {
    return bad_packet("its length is not what its header says");
  }
  if (header.fds > packet_fds_max || raw.fds.size() != header.fds + (apart ? 1U : 0U)) {
    return bad_packet("other descriptors than its header says");
  }
  return header;
}

// Seals first: a file that can still change must not be measured, let alone read.
Result<std::string> read_body(int fd, std::size_t bytes) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & body_seals) != body_seals)
    return bad_packet("a body that is not sealed");
  struct stat status {};
  if (::fstat(fd, &status) != 0 || status.st_size != static_cast<off_t>(bytes)) {
    return bad_packet("a body of another size than its header says");
  }
  std::string text(bytes, '\0');
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t n = ::pread(fd, text.data() + done, bytes - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return bad_packet("a body that cannot be read");
    done += static_cast<std::size_t>(n);
  }
  return text;
}

Result<Packet> parse(Raw raw, std::size_t body_bytes_max) {
  auto header = check(raw, body_bytes_max);
  if (!header) return header.error();
  std::string apart;
  std::string_view text{raw.bytes.get() + sizeof(Header), raw.size - sizeof(Header)};
  if (header->flags == flag_body_in_memfd) {
    auto body = read_body(raw.fds.back().get(), header->bytes);
    if (!body) return body.error();
    apart = std::move(*body);
    text = apart;
    raw.fds.pop_back();
  }
  auto body = parse_bounded(text);
  if (!body) return bad_packet(body.error().context);
  return Packet{std::move(*body), std::move(raw.fds)};
}

// --- waiting ---------------------------------------------------------------------------------

// Waits until the socket may be used again. Errors: timed_out, stopped, the system's.
Result<void> wait_for(int socket, short events, Deadline deadline) {
  for (;;) {
    if (deadline.stopped()) return make_error(Errc::stopped, "control connection");
    if (deadline.expired()) return make_error(Errc::timed_out, "control connection");
    // Nothing wakes this poll when a stop flag is raised, so it looks now and then.
    constexpr Deadline::clock::duration glance = std::chrono::milliseconds(50);
    constexpr Deadline::clock::duration longest = std::chrono::hours(1);
    const auto left = std::min(deadline.remaining(), deadline.stoppable() ? glance : longest);
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    pollfd entry{socket, events, 0};
    const int n = ::poll(&entry, 1, static_cast<int>(ms));
    if (n > 0) return {};
    if (n < 0 && errno != EINTR) return errno_error(errno, "control connection: poll");
  }
}

}  // namespace

Result<void> send_packet(int socket, const nlohmann::json& body, std::span<const int> fds) {
  auto out = prepare(body, fds);
  if (!out) return out.error();
  return send_prepared(socket, *out);
}

Result<void> send_packet(int socket, const nlohmann::json& body, std::span<const int> fds,
                         Deadline deadline) {
  auto out = prepare(body, fds);
  if (!out) return out.error();
  for (;;) {
    auto sent = send_prepared(socket, *out);
    if (sent || !sent.error().is(Errc::would_block)) return sent;
    if (auto waited = wait_for(socket, POLLOUT, deadline); !waited) return waited;
  }
}

Result<std::optional<Packet>> receive_packet(int socket, std::size_t body_bytes_max) {
  auto raw = receive_raw(socket);
  if (!raw) return raw.error();
  if (!raw->has_value()) return std::optional<Packet>();
  // No packet of ours is empty, so an empty one is the end; with descriptors it is foul play.
  if ((*raw)->size == 0 && (*raw)->fds.empty()) {
    return make_error(Errc::closed, "control connection");
  }
  auto packet = parse(std::move(**raw), body_bytes_max);
  if (!packet) return packet.error();
  return std::optional<Packet>(std::move(*packet));
}

Result<Packet> receive_packet(int socket, Deadline deadline) {
  for (;;) {
    auto packet = receive_packet(socket);
    if (!packet) return packet.error();
    if (packet->has_value()) return std::move(**packet);
    if (auto waited = wait_for(socket, POLLIN, deadline); !waited) return waited.error();
  }
}

}  // namespace bulkhead::ipc
