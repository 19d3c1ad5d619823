// Serves "square". Quoted in docs/guide-worker.md.
#include "square.hpp"

#include <bulkhead/worker.hpp>

using namespace bulkhead;

int main(int argc, char** argv) {
  return Worker::run(argc, argv, [](Worker& self) -> Result<void> {
    Service service;
    service.on<Square>([](const SquareRequest& request) -> Result<double> {
      if (request.side < 0) return make_error(Errc::invalid_argument, "a side is not negative");
      return request.side * request.side;
    });
    self.ready();
    auto served = self.serve("square", service, self.until_stop());
    return self.ended(served.error());
  });
}
