// The cruncher: leases jobs and completes each with its result, so that a job survives the death of whoever
// has it.
#include <csignal>
#include <cstdio>

#include "workers/builtin/builtin.hpp"
#include "workers/builtin/count_job.hpp"
#include "workers/builtin/settings.hpp"

namespace bulkhead::workers {
namespace {

// The result in one message; empty when it does not fit, or when there was no job to read.
MessageBytes crunch(std::span<const std::byte> bytes, std::size_t message_max,
                    std::string& buffer) {
  const auto job = decode_job(bytes);
  if (!job) {
    std::fprintf(stderr, "cruncher: %s\n", job.error().to_string().c_str());
    return {};
  }
  const auto counted = count_job(*job, buffer);
  auto parts = encode_result(job->id, counted.count, counted.failures, message_max);
  return parts.size() == 1 ? std::move(parts.front()) : MessageBytes();
}

}  // namespace

Result<void> run_cruncher(Worker& self) {
  std::string link = "jobs";
  if (auto read = Settings(self.config()).text("link", link).finish(); !read) return read;
  auto jobs = self.queue(link);
  if (!jobs) return jobs.error();
  if (jobs->message_max() < result_message_min) {
    return make_error(Errc::bad_config, "link \"" + link + "\": max_message must be 1KiB or more");
  }
  self.ready();

  std::string buffer;
  for (std::uint64_t done = 0;;) {
    auto lease = jobs->lease(self.until_stop());
    if (!lease) return self.ended(lease.error());
    if (is_poison(lease->bytes())) std::raise(SIGSEGV);
    const auto result = crunch(lease->bytes(), jobs->message_max(), buffer);
    if (auto sent = lease->complete(result, self.until_stop()); !sent) {
      return self.ended(sent.error());
    }
    if (++done % 64 == 0) self.status("jobs=" + std::to_string(done));
  }
}

}  // namespace bulkhead::workers
