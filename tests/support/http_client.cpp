#include "tests/support/http_client.hpp"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <memory>
#include <sstream>
#include <stdexcept>

namespace bulkhead::test {
namespace {

constexpr timeval patience{30, 0};

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

}  // namespace

HttpClient::HttpClient(const std::string& address) {
  const auto colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  if (::getaddrinfo(host.c_str(), address.substr(colon + 1).c_str(), &hints, &found) != 0) {
    throw std::runtime_error("no address: " + address);
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> to(found, &::freeaddrinfo);
  fd_ = base::UniqueFd{::socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    if (::setsockopt(fd_.get(), SOL_SOCKET, option, &patience, sizeof patience) != 0)
      fail("socket");
  }
  if (::connect(fd_.get(), to->ai_addr, to->ai_addrlen) != 0) fail("connect to " + address);
}

bool HttpClient::send(const std::string& bytes) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t n = ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) return false;
    if (n < 0) fail("send");
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

bool HttpClient::read_more() {
  char chunk[4096];
  const ssize_t n = ::recv(fd_.get(), chunk, sizeof chunk, 0);
  if (n < 0 && errno != ECONNRESET) fail("receive");
  if (n <= 0) return false;
  buffer_.append(chunk, static_cast<std::size_t>(n));
  return true;
}

HttpAnswer HttpClient::receive() {
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == buffer_.npos) {
    if (!read_more()) throw std::runtime_error("closed before an answer; it said: " + buffer_);
  }
  HttpAnswer answer;
  std::istringstream lines(buffer_.substr(0, end));
  buffer_.erase(0, end + 4);
  std::string line;
  std::getline(lines, line);
  if (!line.starts_with("HTTP/1.")) throw std::runtime_error("no answer: " + line);
  answer.status = std::stoi(line.substr(line.find(' ') + 1));
  while (std::getline(lines, line)) {
    if (line.ends_with('\r')) line.pop_back();
    const auto colon = line.find(": ");
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    answer.fields[name] = line.substr(colon + 2);
  }
  const std::size_t bytes = std::stoul(answer.fields.at("content-length"));
  while (buffer_.size() < bytes) {
    if (!read_more()) throw std::runtime_error("closed in the middle of an answer");
  }
  answer.body = buffer_.substr(0, bytes);
  buffer_.erase(0, bytes);
  return answer;
}

std::string HttpClient::read_to_the_end() {
  while (read_more()) {
  }
  return std::move(buffer_);
}

std::string get(const std::string& path, const std::string& host, const std::string& more) {
  return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + more + "\r\n";
}

HttpAnswer fetch(const std::string& address, const std::string& path, const std::string& host) {
  HttpClient client(address);
  client.send(get(path, host.empty() ? address : host, "Connection: close\r\n"));
  return client.receive();
}

}  // namespace bulkhead::test
