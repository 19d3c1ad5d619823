// The cruncher: does jobs as they come, and acknowledges each only when its result is committed, so that a
// job survives the death of whoever has it.
#include <algorithm>
#include <cstdio>

#include "ipc/endpoint.hpp"
#include "workers/builtin/builtin.hpp"
#include "workers/builtin/job.hpp"
#include "workers/builtin/settings.hpp"
#include "workers/builtin/survey.hpp"

namespace bulkhead::workers {
namespace {

std::vector<MessageBytes> do_job(const Job& job, std::size_t message_max, std::string& buffer) {
  WordCount count;
  std::vector<Failure> failures;
  for (std::uint32_t at = 0; at < job.pieces.size(); ++at) {
    const auto& piece = job.pieces[at];
    if (const auto text = read_range(piece.path, piece.offset, piece.length, buffer)) {
      count.add(*text);
    } else {
      failures.push_back({at, text.error().code.value()});
    }
  }
  return encode_result(job.id, count, failures, message_max);
}

}  // namespace

Result<void> run_cruncher(Worker& self) {
  std::string link = "jobs";
  if (auto read = Settings(self.config()).text("link", link).finish(); !read) return read;
  auto jobs = self.channel(link);
  if (!jobs) return jobs.error();
  const auto message_max = jobs->endpoint().spec().options.max_message;
  if (message_max < result_message_min) {
    return make_error(Errc::bad_config, "link \"" + link + "\": max_message must be 1KiB or more");
  }
  self.ready();

  std::string buffer;
  for (std::uint64_t done = 0;;) {
    auto message = jobs->receive(self.until_stop());
    if (!message) return self.ended(message.error());
    const auto job = decode_job(message->bytes());
    if (!job) {
      std::fprintf(stderr, "cruncher: %s\n", job.error().to_string().c_str());
      continue;
    }
    for (const auto& part : do_job(*job, message_max, buffer)) {
      if (auto sent = jobs->send(part, self.until_stop()); !sent) {
        message->release();
        return self.ended(sent.error());
      }
    }
    message->acknowledge();
    if (++done % 64 == 0) self.status("jobs=" + std::to_string(done));
  }
}

}  // namespace bulkhead::workers
