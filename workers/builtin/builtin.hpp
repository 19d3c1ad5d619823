// The built-in workers, each as the function that its program hands to Worker::run. What each reads
// from its config stands in docs/guide-worker.md.
#pragma once

#include <bulkhead/worker.hpp>

namespace bulkhead::workers {

Result<void> run_echo(Worker&);      // sends back what comes on a link, or serves "echo"
Result<void> run_ticker(Worker&);    // sends numbered messages
Result<void> run_sink(Worker&);      // checks that the ticker's messages come without a gap
Result<void> run_math(Worker&);      // serves "math": add, primes, matrix
Result<void> run_client(Worker&);    // calls a service without pause and checks the answers
Result<void> run_splitter(Worker&);  // cuts a directory into jobs, deals them, merges the results
Result<void> run_cruncher(Worker&);  // does such jobs
Result<void> run_crash(Worker&);     // goes wrong on purpose

}  // namespace bulkhead::workers
