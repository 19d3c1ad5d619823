// Lines of standard input as inputs, however they arrive.
#include <gtest/gtest.h>
#include <unistd.h>

#include "pool/command_inputs.hpp"

namespace bulkhead::pool {
namespace {

using Texts = std::vector<std::string>;

class Inputs : public testing::Test {
 protected:
  void begin(char separator = '\n') {
    auto pipe = base::make_pipe().value();
    read_ = std::move(pipe.first);
    write_ = std::move(pipe.second);
    inputs_.emplace(read_.get(), separator);
  }
  void send(std::string_view text) {
    ASSERT_EQ(::write(write_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  Texts take_all() {
    while (inputs_->read_more().value()) {
    }
    Texts texts;
    while (!inputs_->empty()) texts.push_back(inputs_->take().text);
    return texts;
  }
  Texts end() {
    write_.reset();
    return take_all();
  }

  base::UniqueFd read_, write_;
  std::optional<CommandInputs> inputs_;
};

TEST_F(Inputs, are_lines_and_a_last_one_without_an_end) {
  begin();
  send("one\n two \n\nlast");
  EXPECT_EQ(take_all(), (Texts{"one", " two ", ""}));
  EXPECT_FALSE(inputs_->ended());
  EXPECT_EQ(end(), (Texts{"last"}));
  EXPECT_TRUE(inputs_->ended());
  EXPECT_EQ(inputs_->count(), 4U);
}

TEST_F(Inputs, are_none_of_nothing) {
  begin();
  EXPECT_EQ(end(), Texts{});
  EXPECT_TRUE(inputs_->ended());
}

TEST_F(Inputs, come_together_from_parts) {
  begin();
  for (const char* part : {"a", "b", "c\nd", "e\n"}) {
    send(part);
    (void)inputs_->read_more();
  }
  EXPECT_EQ(end(), (Texts{"abc", "de"}));
}

TEST_F(Inputs, end_with_a_nul_when_that_is_asked_for) {
  begin('\0');
  send(std::string_view("a\nb\0\0c", 6));
  EXPECT_EQ(end(), (Texts{"a\nb", "", "c"}));
}

TEST_F(Inputs, that_no_argument_can_be_are_marked) {
  using Fault = CommandInput::Fault;
  const auto longest = 32 * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) - 1;
  begin();
  for (const std::size_t bytes : {longest, longest + 1, 5 * longest}) {
    for (std::size_t sent = 0; sent < bytes;) {
      const std::size_t part = std::min<std::size_t>(bytes - sent, 60000);
      send(std::string(part, 'x'));
      sent += part;
      (void)inputs_->read_more();
    }
    send("\n");
    (void)inputs_->read_more();
  }
  send(std::string_view("a\0b\nfine\n", 9));
  write_.reset();
  while (inputs_->read_more().value()) {
  }
  const Fault faults[] = {Fault::none, Fault::too_long, Fault::too_long, Fault::has_nul,
                          Fault::none};
  for (std::uint64_t i = 0; i < std::size(faults); ++i) {
    ASSERT_FALSE(inputs_->empty()) << i;
    const CommandInput input = inputs_->take();
    EXPECT_EQ(input.index, i);
    EXPECT_EQ(input.fault, faults[i]) << i;
    EXPECT_LE(input.text.size(), longest) << "more than that is no use to anybody";
  }
}

TEST_F(Inputs, are_read_ahead_within_bounds) {
  begin();
  const std::string block(60000, '\n');
  std::size_t blocks = 0;
  for (; !inputs_->full() && blocks < 1000; ++blocks) {
    send(block);
    (void)inputs_->read_more();
  }
  EXPECT_LT(blocks, 1000U);
  (void)inputs_->take();
  while (!inputs_->empty()) (void)inputs_->take();
  EXPECT_FALSE(inputs_->full());
}

}  // namespace
}  // namespace bulkhead::pool
