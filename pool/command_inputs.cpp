#include "pool/command_inputs.hpp"

#include <unistd.h>

#include <utility>

namespace bulkhead::pool {
namespace {

constexpr std::size_t read_ahead_bytes = 65536;
constexpr std::size_t argument_pages_max = 32;  // execve(2): MAX_ARG_STRLEN

std::size_t waiting_cost(const CommandInput& input) noexcept {
  return sizeof input + input.text.capacity();
}

}  // namespace

CommandInputs::CommandInputs(int fd, char separator)
    : stream_(fd, CommandStream::Direction::reads),
      separator_(separator),
      text_max_(argument_pages_max * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) - 1),
      buffer_(read_ahead_bytes) {}

Result<bool> CommandInputs::read_more() {
  const auto n = stream_.read(buffer_);
  if (!n) return n.error();
  if (!*n) return false;
  if (**n > 0) {
    split({buffer_.data(), **n});
    return true;
  }
  ended_ = true;
  if (!unfinished_.text.empty() || unfinished_.fault != CommandInput::Fault::none) finish_input();
  return false;
}

void CommandInputs::split(std::string_view chunk) {
  while (!chunk.empty()) {
    const std::size_t end = chunk.find(separator_);
    add_part(chunk.substr(0, end));
    if (end == std::string_view::npos) return;
    finish_input();
    chunk.remove_prefix(end + 1);
  }
}

void CommandInputs::add_part(std::string_view part) {
  using Fault = CommandInput::Fault;
  const std::size_t room = text_max_ - unfinished_.text.size();
  if (part.size() > room) unfinished_.fault = Fault::too_long;
  part = part.substr(0, room);
  if (unfinished_.fault == Fault::none && part.find('\0') != std::string_view::npos) {
    unfinished_.fault = Fault::has_nul;
  }
  unfinished_.text += part;
}

void CommandInputs::finish_input() {
  unfinished_.index = count_++;
  waiting_bytes_ += waiting_cost(unfinished_);
  waiting_.push_back(std::exchange(unfinished_, {}));
}

CommandInput CommandInputs::take() {
  CommandInput input = std::move(waiting_.front());
  waiting_.pop_front();
  waiting_bytes_ -= waiting_cost(input);
  return input;
}

}  // namespace bulkhead::pool
