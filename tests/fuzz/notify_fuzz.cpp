// What programs say with sd_notify(3): the input is one message.
#include <cstdlib>
#include <string_view>

#include "supervisor/notify_message.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace bulkhead::test {
namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool is_shown(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 127) return false;
  }
  return supervisor::printable(text, text.size()) == text;  // what is printable stays as it is
}

}  // namespace
}  // namespace bulkhead::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  const auto message = supervisor::parse_notify({reinterpret_cast<const char*>(data), size});
  const auto& name = message.store_name;
  test::require(!name.empty() && name.size() <= supervisor::stored_name_max &&
                name.find(':') == name.npos && test::is_shown(name));
  if (message.status) {
    test::require(message.status->size() <= supervisor::notify_status_max &&
                  test::is_shown(*message.status));
  }
  for (const auto& complaint : message.complaints) test::require(test::is_shown(complaint));
  if (message.main_pid) test::require(*message.main_pid > 0);
  if (message.more_time) test::require(*message.more_time != 0);
  return 0;
}
