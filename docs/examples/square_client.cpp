// Asks for squares, one a second. Quoted in docs/guide-worker.md.
#include "square.hpp"

#include <bulkhead/worker.hpp>

#include <chrono>
#include <cstdio>

using namespace bulkhead;
using namespace std::chrono_literals;

int main(int argc, char** argv) {
  return Worker::run(argc, argv, [](Worker& self) -> Result<void> {
    auto client = self.client("square");
    self.ready();
    for (double side = 1;; side += 1) {
      auto area = client.call<Square>({side}, self.until_stop(5s));
      if (area) {
        std::printf("%g squared is %g\n", side, *area);
        std::fflush(stdout);
      } else if (area.error().is(Errc::peer_died)) {
        side -= 1;  // it may or may not have been computed; asking again does no harm here
      } else {
        return self.ended(area.error());
      }
      if (auto paused = self.pause(1s); !paused) return self.ended(paused.error());
    }
  });
}
