// The program splitter-worker.
#include "workers/builtin/builtin.hpp"

int main(int argc, char** argv) {
  return bulkhead::Worker::run(argc, argv, bulkhead::workers::run_splitter);
}
