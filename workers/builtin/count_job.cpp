#include "workers/builtin/count_job.hpp"

#include "workers/builtin/survey.hpp"

namespace bulkhead::workers {

CountedJob count_job(const Job& job, std::string& buffer) {
  CountedJob counted;
  for (std::uint32_t at = 0; at < job.pieces.size(); ++at) {
    const auto& piece = job.pieces[at];
    if (const auto text = read_range(piece.path, piece.offset, piece.length, buffer)) {
      counted.count.add(*text);
    } else {
      counted.failures.push_back({at, text.error().code.value()});
    }
  }
  return counted;
}

}  // namespace bulkhead::workers
