#include "workers/builtin/services.hpp"

#include "workers/builtin/arithmetic.hpp"
#include "workers/builtin/builtin.hpp"
#include "workers/builtin/settings.hpp"

namespace bulkhead::workers {
namespace {

Result<void> echo_on(Worker& self, Channel channel) {
  self.ready();
  for (;;) {
    auto message = channel.receive(self.until_stop());
    if (!message) return self.ended(message.error());
    if (auto sent = channel.send(message->bytes(), self.until_stop()); !sent) {
      message->release();  // it was not answered, so the successor gets it
      return self.ended(sent.error());
    }
  }
}

}  // namespace

Service math_service() {
  Service service;
  service.on<Add>(&add).on<Primes>(&count_primes).on<MatrixProduct>(&matrix_product);
  return service;
}

Service echo_service() {
  Service service;
  service.on<Echo>([](const nlohmann::json& request) -> Result<nlohmann::json> { return request; });
  return service;
}

Result<void> run_math(Worker& self) {
  if (auto read = Settings(self.config()).finish(); !read) return read;
  self.ready();
  auto served = self.serve("math", math_service(), self.until_stop());
  return served ? served : self.ended(served.error());
}

Result<void> run_echo(Worker& self) {
  std::string link;
  if (auto read = Settings(self.config()).text("link", link).finish(); !read) return read;
  if (!link.empty()) {
    auto channel = self.channel(link);
    if (!channel) return channel.error();
    return echo_on(self, std::move(*channel));
  }
  self.ready();
  auto served = self.serve("echo", echo_service(), self.until_stop());
  return served ? served : self.ended(served.error());
}

}  // namespace bulkhead::workers
