// A program that knows nothing of Bulkhead and speaks sd_notify(3) by hand: plain_roles COMMANDS ANSWERS, two FIFOs. It
// carries out one command a line and answers each with a line. In a text to be sent ';' stands for a newline. Used by
// plain_notify_test.cpp and plain_store_test.cpp.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// False with errno set. `fd` rides along where it is one.
bool send_to(const std::string& address, std::string text, int fd = -1) {
  for (char& c : text) {
    if (c == ';') c = '\n';
  }
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, address.data(), std::min(address.size(), sizeof name.sun_path));
  if (name.sun_path[0] == '@') name.sun_path[0] = '\0';
  iovec bytes{text.data(), text.size()};
  msghdr message{};
  message.msg_name = &name;
  message.msg_namelen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool sent = ::sendmsg(socket, &message, MSG_NOSIGNAL) >= 0;
  ::close(socket);
  return sent;
}

bool say(const std::string& text, int fd = -1) {
  return send_to(variable("NOTIFY_SOCKET"), text, fd);
}

// sd_notify_barrier(3): returns when all that was said before has been read.
void await_barrier() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0 || !say("BARRIER=1", ends[1])) ::_exit(90);
  ::close(ends[1]);
  pollfd closed{ends[0], 0, 0};
  (void)::poll(&closed, 1, -1);
  ::close(ends[0]);
}

// In a child, which is reaped when this returns.
template <class Function>
void in_child(Function&& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    act();
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
}

// A process whose parent has gone says it, so that it is a child of the supervisor's by then.
void say_as_orphan(const std::string& text) {
  std::array<int, 2> done{};
  if (::pipe2(done.data(), O_CLOEXEC) != 0) ::_exit(91);
  in_child([&] {
    const pid_t parent = ::getpid();
    std::array<int, 2> gone{};
    if (::pipe2(gone.data(), O_CLOEXEC) != 0) ::_exit(92);
    if (::fork() != 0) return;
    ::close(gone[1]);
    pollfd left{gone[0], 0, 0};
    (void)::poll(&left, 1, -1);  // our parent's end closes when it exits
    while (::getppid() == parent) ::sched_yield();
    say(text);
    await_barrier();
    ::_exit(0);
  });
  ::close(done[1]);
  pollfd all{done[0], 0, 0};
  (void)::poll(&all, 1, -1);
  ::close(done[0]);
}

// Says it again and again, beside us, until it is killed.
void flood(const std::string& text) {
  if (::fork() != 0) return;
  while (true) say(text);
}

bool store(const std::string& name, const std::string& content) {
  const int memory = ::memfd_create("stored", MFD_CLOEXEC);
  const bool made = ::write(memory, content.data(), content.size()) >= 0;
  const bool sent = made && say("FDSTORE=1;FDNAME=" + name, memory);
  ::close(memory);
  return sent;
}

bool store_dead_pipe(const std::string& words) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return false;
  ::close(ends[1]);
  const bool sent = say("FDSTORE=1;" + words, ends[0]);
  ::close(ends[0]);
  return sent;
}

// "name=content" of each that we were given.
std::string given() {
  const std::string count = variable("LISTEN_FDS");
  if (count.empty()) return "none";
  std::istringstream names(variable("LISTEN_FDNAMES"));
  std::string text, name;
  for (int fd = 3; fd < 3 + std::stoi(count); ++fd) {
    std::getline(names, name, ':');
    std::array<char, 100> content{};
    const ssize_t n = ::pread(fd, content.data(), content.size() - 1, 0);
    text += (text.empty() ? "" : " ") + name + "=" + (n >= 0 ? content.data() : "?");
  }
  return text;
}

std::string carry_out(const std::string& line) {
  const auto space = line.find(' ');
  const std::string word = line.substr(0, space);
  const std::string rest = space == line.npos ? "" : line.substr(space + 1);
  const std::string first = rest.substr(0, rest.find(' '));
  const std::string last = rest.find(' ') == rest.npos ? "" : rest.substr(rest.find(' ') + 1);
  bool done = true;
  if (word == "say")
    done = say(rest);
  else if (word == "say_to")
    done = send_to(first, last);
  else if (word == "long")
    done = say("STATUS=" + std::string(5000, 'x'));
  else if (word == "nul")
    done = say(std::string("STATUS=a\0b", 10));
  else if (word == "barrier")
    await_barrier();
  else if (word == "in_child")
    in_child([&] { say(rest); });
  else if (word == "in_waiting_child")
    in_child([&] {
      say(rest);
      await_barrier();
    });
  else if (word == "flood")
    flood(rest);
  else if (word == "as_orphan")
    say_as_orphan(rest);
  else if (word == "store")
    done = store(first, last);
  else if (word == "store_dead_pipe")
    done = store_dead_pipe(rest);
  else if (word == "attach")
    done = say(rest, STDERR_FILENO);
  else if (word == "given")
    return given();
  else if (word == "write")
    done = ::write(std::stoi(first), (last + "\n").data(), last.size() + 1) > 0;
  else if (word == "close")
    done = ::close(std::stoi(first)) == 0;
  else if (word == "variable")
    return "=" + variable(rest.c_str());
  else if (word == "exit")
    ::_exit(std::stoi(first));
  else
    return "what?";
  return done ? "done" : std::strerror(errno);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int commands = ::open(argv[1], O_RDWR | O_CLOEXEC);
  const int answers = ::open(argv[2], O_RDWR | O_CLOEXEC);
  const auto answer = [&](const std::string& text) {
    return ::write(answers, (text + "\n").data(), text.size() + 1) >= 0;
  };
  if (commands < 0 || answers < 0 || !answer("up")) return 3;
  const std::string watchdog = variable("WATCHDOG_USEC");
  const int period_ms = watchdog.empty() ? -1 : std::stoi(watchdog) / 4000;
  std::string line;
  for (;;) {
    pollfd waiting{commands, POLLIN, 0};
    if (::poll(&waiting, 1, period_ms) == 0) {
      say("WATCHDOG=1");
      continue;
    }
    char c = 0;
    if (::read(commands, &c, 1) != 1) return 4;
    if (c != '\n') {
      line += c;
      continue;
    }
    answer(carry_out(line));
    line.clear();
  }
}
