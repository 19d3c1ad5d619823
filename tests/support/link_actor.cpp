#include "tests/support/link_actor.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "ipc/wake.hpp"

namespace bulkhead::test {
namespace {

struct Note {
  std::uint8_t kind;
  std::uint16_t epoch;
};

void send_note(int socket, Note note, const std::vector<int>& fds) {
  iovec data{&note, sizeof note};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(4 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  }
  // The other side may be dead already: that is what these tests are about.
  static_cast<void>(sendmsg(socket, &message, MSG_NOSIGNAL));
}

bool receive_note(int socket, int flags, Note& note, std::vector<base::UniqueFd>& fds) {
  iovec data{&note, sizeof note};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(4 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC) != sizeof note) return false;
  for (auto* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return true;
}

// The child's half of the brain's control link.
class ActorAttention final : public ipc::Attention {
 public:
  ActorAttention(std::atomic<std::uint32_t>& word, base::UniqueFd control)
      : word_(word), control_(std::move(control)) {}

  const std::atomic<std::uint32_t>& word() const noexcept override { return word_; }
  int fd() const noexcept override { return control_.get(); }
  void service() noexcept override {
    const auto endpoint = endpoint_.lock();
    if (!endpoint) return;
    for (;;) {
      Note note{};
      std::vector<base::UniqueFd> fds;
      if (!receive_note(control_.get(), MSG_DONTWAIT, note, fds)) return;
      endpoint->post({static_cast<ipc::LinkUpdate::Kind>(note.kind), note.epoch, std::move(fds)});
    }
  }
  void watch(const std::shared_ptr<ipc::Endpoint>& endpoint) { endpoint_ = endpoint; }

 private:
  std::atomic<std::uint32_t>& word_;
  base::UniqueFd control_;
  std::weak_ptr<ipc::Endpoint> endpoint_;
};

[[noreturn]] void play(Stage& stage, const ActorSpec& spec, base::UniqueFd control,
                       const Actor::Role& role) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (spec.before_open != nullptr) spec.before_open();
  const int socket = control.get();
  auto attention = std::make_shared<ActorAttention>(stage.attention(spec.side), std::move(control));
  ipc::EndSpec end;
  end.link = "actors";
  end.side = spec.side;
  end.epoch = spec.epoch;
  end.options = spec.options;
  end.attention = attention;
  if (spec.predecessor >= 0) end.predecessor = std::move(*base::duplicate(spec.predecessor));
  auto endpoint = ipc::open_endpoint(spec.transport, std::move(end));
  if (!endpoint) {
    std::fprintf(stderr, "actor: %s\n", endpoint.error().to_string().c_str());
    _exit(99);
  }
  attention->watch(*endpoint);
  Channel channel(*endpoint);
  endpoint->reset();
  send_note(socket, {0, spec.epoch}, {channel.endpoint().segment_fd()});
  _exit(role(stage, channel));
}

}  // namespace

Stage::Stage() {
  void* memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  EXPECT_NE(memory, MAP_FAILED);
  shared_ = new (memory) Shared{};
  shared_->progress.limit = ~std::uint64_t{0};
  for (auto& trigger : shared_->progress.trigger) trigger = ~std::uint64_t{0};
  for (auto& bell : bells_) bell.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

Stage::~Stage() { munmap(shared_, sizeof(Shared)); }

void Stage::ring(ipc::Side side) noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!write(bell(side), &one, sizeof one));
}

// Who sets the trigger looks first at how far the child is, which may be farther by the time it is set.
void Stage::reached(ipc::Side side, std::uint64_t index) noexcept {
  auto& trigger = shared_->progress.trigger[static_cast<std::size_t>(side)];
  std::uint64_t set = trigger;
  if (index >= set && trigger.compare_exchange_strong(set, ~std::uint64_t{0})) ring(side);
}

std::unique_ptr<Actor> Actor::start(Stage& stage, const ActorSpec& spec, const Role& role) {
  std::unique_ptr<Actor> actor(new Actor(stage, spec));
  auto sockets = std::move(*base::make_socketpair(SOCK_SEQPACKET));
  actor->pid_ = fork();
  if (actor->pid_ == 0) {
    sockets.first.reset();
    play(stage, spec, std::move(sockets.second), role);
  }
  actor->control_ = std::move(sockets.first);
  actor->pidfd_ = std::move(*base::open_pidfd(actor->pid_));
  Note note{};
  std::vector<base::UniqueFd> fds;
  sockets.second.reset();
  EXPECT_TRUE(receive_note(actor->control_.get(), 0, note, fds)) << "the actor made no offer";
  if (!fds.empty()) actor->segment_ = std::move(fds[0]);
  return actor;
}

Actor::~Actor() { kill(); }

void Actor::tell(ipc::LinkUpdate::Kind kind, std::uint16_t epoch, std::vector<int> fds) {
  send_note(control_.get(), {static_cast<std::uint8_t>(kind), epoch}, fds);
  ipc::ring(stage_.attention(side_));
}

void Actor::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  wait();
}

int Actor::wait() {
  int status = 0;
  EXPECT_EQ(first_readable({pidfd_.get()}), pidfd_.get()) << "the actor does not end";
  EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int first_readable(const std::vector<int>& fds) {
  std::vector<pollfd> watched;
  for (const int fd : fds) watched.push_back({fd, POLLIN, 0});
  constexpr int watchdog_ms = 60000;
  while (poll(watched.data(), watched.size(), watchdog_ms) < 0 && errno == EINTR) {
  }
  for (const auto& one : watched) {
    if (one.revents != 0) return one.fd;
  }
  return -1;
}

void drain_event(int fd) {
  std::uint64_t count = 0;
  static_cast<void>(!read(fd, &count, sizeof count));
}

}  // namespace bulkhead::test
