// Stands in the place of bulkhead-web as somebody who has taken it over: asks the brain for everything, and writes into
// the pipe WEB_IMPOSTOR_PIPE, in a line each, what came of it. Used by web_test.
#include <unistd.h>
#include <bulkhead/connection.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string_view>

int main(int argc, char** argv) {
  using namespace bulkhead;
  const char* const pipe = std::getenv("WEB_IMPOSTOR_PIPE");
  if (argc != 3 || std::string_view(argv[1]) != "--control" || pipe == nullptr) return 2;
  auto system = connect(argv[2]);
  if (!system) return 1;
  std::ofstream out(pipe);
  const nlohmann::json params{{"name", "waiter"}, {"signal", 9},    {"path", "/tmp/x.json"},
                              {"text", "{}"},     {"instances", 2}, {"service", "s"},
                              {"timeout_ms", 1}};
  for (const char* method : {"status", "events", "incidents", "kill", "stop", "start", "restart",
                             "scale", "reload", "plan", "config", "logs", "why", "queue",
                             "queue.requeue", "service.connect", "wait_settled", "shutdown"}) {
    auto asked = params;
    if (std::string_view(method) == "status") asked = nlohmann::json::object();
    const auto answer = system->request(method, asked, Deadline::in(std::chrono::seconds(10)));
    const bool refused = !answer && answer.error().is(Errc::not_permitted);
    out << method << ' ' << (refused ? "refused" : answer ? "answered" : "failed") << '\n';
  }
  out.close();
  ::pause();
}
