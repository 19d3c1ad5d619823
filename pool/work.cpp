#include "pool/work.hpp"

#include "pool/range_job.hpp"

namespace bulkhead::pool {

std::shared_ptr<Work> make_call(std::uint32_t function, detail::BodyWriter body,
                                const TaskOptions& options) {
  auto work = std::make_shared<Work>();
  work->function = function;
  work->attachments = body.take_attachments();
  work->body = body.take_bytes();
  work->options = options;
  return work;
}

std::shared_ptr<Work> make_range(detail::RangeWork& range) {
  auto work = std::make_shared<Work>();
  work->function = range.function;
  work->body = std::move(range.body);
  work->attachments = std::move(range.attachments);
  for (auto& attachment : range.input_attachments)
    work->attachments.push_back(std::move(attachment));
  work->options = range.options;
  return work;
}

}  // namespace bulkhead::pool
