#include "supervisor/web_server.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <array>
#include <cerrno>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "supervisor/web_pages.hpp"

namespace bulkhead::supervisor {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
using ErrorCode = beast::error_code;

constexpr std::chrono::milliseconds accept_again{100};  // when descriptors or memory ran out
constexpr std::chrono::seconds to_say_goodbye{1};
constexpr std::size_t goodbye_bytes_max = 64 << 10;
constexpr int send_buffer_bytes = 64 << 10;  // what the kernel keeps for one that does not read

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

bool is_of_http(const ErrorCode& error) {
  return error.category() == ErrorCode(http::error::bad_method).category();
}

// What to say to a request that could not be read.
WebPage refusal(const ErrorCode& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return {431, WebPage().type,
            "a request has at most " + std::to_string(web_limits::header_bytes) + " bytes here\n"};
  }
  if (error == http::error::body_limit || error == http::error::unexpected_body) {
    return {413, WebPage().type, "a request has no body here\n"};
  }
  return {400, WebPage().type, "no request of HTTP/1.1: " + error.message() + "\n"};
}

}  // namespace

class WebSession;

struct WebServer::State : std::enable_shared_from_this<WebServer::State> {
  State(asio::io_context& loop, WebFeed& what) : io(loop), feed(what), again(loop) {}

  void accept(std::uint64_t listener);
  void admit(tcp::socket);
  void make_room();

  asio::io_context& io;
  WebFeed& feed;
  WebPages pages;  // the feed's thread's
  WebHosts hosts;
  asio::steady_timer again;
  std::optional<tcp::acceptor> acceptor;
  std::string
      address;  // of the acceptor, in numbers; may be 0.0.0.0, which some write into a browser
  std::uint64_t listener = 0;  // which one that is: an earlier one is not listened at again
  std::map<std::uint64_t, std::weak_ptr<WebSession>> sessions;  // in the order of their arrival
  std::uint64_t next_session = 1;
};

// One connection, one request at a time: what is sent ahead waits in the buffer, or in the kernel.
// Threads: the server's loop. Ownership: by whatever operation is under way.
class WebSession : public std::enable_shared_from_this<WebSession> {
 public:
  WebSession(std::shared_ptr<WebServer::State> server, tcp::socket socket, std::uint64_t number)
      : server_(std::move(server)), stream_(std::move(socket)), number_(number) {
    ErrorCode error;
    const auto address = stream_.socket().local_endpoint(error).address();
    if (!error) address_ = address.to_string();
    stream_.socket().set_option(tcp::socket::send_buffer_size(send_buffer_bytes), error);
  }
  ~WebSession() { server_->sessions.erase(number_); }
  WebSession(const WebSession&) = delete;
  WebSession& operator=(const WebSession&) = delete;

  void read();
  // Who goes first when there are too many: whether it is about a request, and since when it has not got any further.
  std::pair<bool, std::uint64_t> place_in_line() const { return {is_busy_, since_ns_}; }
  void close() {
    ErrorCode ignored;
    stream_.socket().close(ignored);
  }

 private:
  using Request = http::request<http::empty_body>;
  void received(const ErrorCode&);
  void answer(const Request&);
  void send(WebPage, bool keep_alive);
  void say_goodbye();
  void hear_out(std::size_t so_far);

  std::shared_ptr<WebServer::State> server_;
  beast::tcp_stream stream_;
  const std::uint64_t number_;
  std::string address_;  // ours, in numbers
  beast::flat_buffer buffer_{std::size_t{2} * web_limits::header_bytes};
  std::optional<http::request_parser<http::empty_body>> parser_;
  http::response<http::string_body> response_;
  bool is_busy_ = false;
  std::uint64_t since_ns_ = 0;
  unsigned version_ = 11;  // of the last request
  std::array<char, 1024> ignored_;
};

void WebSession::read() {
  is_busy_ = false;
  since_ns_ = base::monotonic_ns();
  parser_.emplace();
  parser_->header_limit(web_limits::header_bytes);
  parser_->body_limit(std::uint64_t{0});
  stream_.expires_after(web_limits::to_ask);
  http::async_read(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](const ErrorCode& error, std::size_t) { self->received(error); });
}

void WebSession::received(const ErrorCode& error) {
  is_busy_ = true;
  since_ns_ = base::monotonic_ns();
  stream_.expires_never();
  if (!error) return answer(parser_->get());
  const bool worth_a_word = is_of_http(error) && error != http::error::end_of_stream &&
                            error != http::error::partial_message;
  if (worth_a_word) send(refusal(error), false);  // else: gone, or too slow
}

void WebSession::answer(const Request& request) {
  const bool keep_alive = request.keep_alive();
  version_ = request.version();
  const auto hosts = request.equal_range(http::field::host);
  if (hosts.first == hosts.second || std::next(hosts.first) != hosts.second) {
    return send({400, WebPage().type, "a request names one host here (the field Host)\n"}, false);
  }
  const auto host = view(hosts.first->value());
  if (!server_->hosts.knows(host, address_) && !server_->hosts.knows(host, server_->address)) {
    return send({403, WebPage().type,
                 "this system does not go by the name in Host (expected localhost, the address "
                 "itself, or one of \"http_hosts\" in the config)\n"},
                false);
  }
  if (request.method() != http::verb::get) {
    const bool with_body = request.method() != http::verb::head;  // whose answers have none
    return send({405, WebPage().type, with_body ? "only GET is served here\n" : ""}, keep_alive);
  }
  const auto target = view(request.target());
  const std::string path(target.substr(0, target.find('?')));
  if (!is_web_page(path)) {
    return send({404, WebPage().type, "there are /metrics, /status and /healthz here\n"},
                keep_alive);
  }
  // The last owner of a session has to be the loop, so the feed's thread hands its share on.
  server_->feed.ask([self = shared_from_this(), path, keep_alive](const WebSnapshot& now) mutable {
    auto page = self->server_->pages.page(path, now);
    auto& io = self->server_->io;
    asio::post(io, [self = std::move(self), page = std::move(page), keep_alive] {
      self->send(*page, keep_alive);
    });
  });
}

void WebSession::send(WebPage page, bool keep_alive) {
  response_ = {};
  response_.version(version_);
  response_.result(page.status);
  response_.set(http::field::content_type, page.type);
  response_.set(http::field::cache_control, "no-store");
  response_.set("X-Content-Type-Options", "nosniff");
  if (page.status == 405) response_.set(http::field::allow, "GET");
  response_.keep_alive(keep_alive);
  response_.body() = std::move(page.body);
  response_.prepare_payload();
  stream_.expires_after(web_limits::to_listen);
  http::async_write(stream_, response_,
                    [self = shared_from_this(), keep_alive](const ErrorCode& error, std::size_t) {
                      if (error) return;
                      keep_alive ? self->read() : self->say_goodbye();
                    });
}

// What is unread when a socket is closed makes the kernel reset it, and the answer may be lost with that.
void WebSession::say_goodbye() {
  ErrorCode error;
  stream_.socket().shutdown(tcp::socket::shutdown_send, error);
  if (error) return;
  stream_.expires_after(to_say_goodbye);
  hear_out(0);
}

void WebSession::hear_out(std::size_t so_far) {
  if (so_far > goodbye_bytes_max) return;
  stream_.async_read_some(asio::buffer(ignored_), [self = shared_from_this(), so_far](
                                                      const ErrorCode& error, std::size_t bytes) {
    if (!error) self->hear_out(so_far + bytes);
  });
}

void WebServer::State::accept(std::uint64_t of) {
  acceptor->async_accept(
      [self = shared_from_this(), of](const ErrorCode& error, tcp::socket socket) {
        if (!error) self->admit(std::move(socket));
        if (of != self->listener) return;
        if (!error || error == asio::error::connection_aborted) return self->accept(of);
        self->again.expires_after(accept_again);
        self->again.async_wait([self, of](const ErrorCode& cancelled) {
          if (!cancelled && of == self->listener) self->accept(of);
        });
      });
}

void WebServer::State::admit(tcp::socket socket) {
  if (sessions.size() >= web_limits::connections) make_room();
  const auto session =
      std::make_shared<WebSession>(shared_from_this(), std::move(socket), next_session);
  sessions[next_session++] = session;
  session->read();
}

// A request comes with the connection, as a rule: who has been silent for longest is the one to go, or else who has
// been taking in an answer for longest.
void WebServer::State::make_room() {
  std::shared_ptr<WebSession> longest;
  std::uint64_t its_number = 0;
  for (const auto& [number, known] : sessions) {
    auto session = known.lock();
    if (session == nullptr) continue;
    if (longest == nullptr || session->place_in_line() < longest->place_in_line()) {
      longest = std::move(session);
      its_number = number;
    }
  }
  if (longest == nullptr) return;
  longest->close();
  sessions.erase(its_number);
}

WebServer::WebServer(asio::io_context& io, WebFeed& feed)
    : state_(std::make_shared<State>(io, feed)) {}

WebServer::~WebServer() = default;

Result<void> WebServer::serve(base::UniqueFd listener, WebHosts hosts) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return errno_error(errno, "look at the listening socket");
  }
  tcp::acceptor acceptor(state_->io);
  ErrorCode error;
  acceptor.assign(address.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), listener.get(), error);
  if (error) return make_error(Errc::invalid_argument, "listen: " + error.message());
  (void)listener.release();
  state_->address = acceptor.local_endpoint(error).address().to_string();
  state_->hosts = std::move(hosts);
  ++state_->listener;
  state_->again.cancel();
  state_->acceptor.reset();
  state_->acceptor.emplace(std::move(acceptor));
  state_->accept(state_->listener);
  return {};
}

}  // namespace bulkhead::supervisor
