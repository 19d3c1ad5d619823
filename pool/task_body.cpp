// Reading what came from another process: never beyond its end.
#include <bulkhead/detail/task_body.hpp>

namespace bulkhead::detail {

Error body_too_short() {
  return make_error(Errc::protocol_violation, "a task's body ends before what it should hold");
}

Result<std::span<const std::byte>> BodyReader::take(std::size_t size) {
  if (size > rest_.size()) return body_too_short();
  const auto bytes = rest_.first(size);
  rest_ = rest_.subspan(size);
  return bytes;
}

}  // namespace bulkhead::detail
