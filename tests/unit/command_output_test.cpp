// What commands wrote comes back byte for byte, from memory or from the file, and leaves nothing behind.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "pool/command_output.hpp"
#include "tests/support/descriptors.hpp"
#include "tests/support/environment.hpp"
#include "tests/support/temporary_directory.hpp"

namespace bulkhead::pool {
namespace {

constexpr std::size_t slot = OutputStore::slot_bytes;
constexpr std::size_t plenty = std::size_t{1} << 30;

std::string bytes_of(std::size_t count, char seed) {
  std::string text(count, '\0');
  for (std::size_t i = 0; i < count; ++i) text[i] = static_cast<char>(seed + i * 7 % 251);
  return text;
}

std::string drain(CommandOutput& output, std::size_t at_once) {
  std::string all;
  while (!output.empty()) {
    const auto front = output.front();
    EXPECT_TRUE(front);
    if (!front || front->empty()) break;
    all += front->substr(0, at_once);
    output.pop(std::min(at_once, front->size()));
  }
  return all;
}

class Outputs : public testing::Test {
 protected:
  void TearDown() override { EXPECT_TRUE(std::filesystem::is_empty(directory_.path())); }
  const test::TemporaryDirectory directory_;
};

TEST_F(Outputs, that_are_small_stay_in_memory) {
  const auto descriptors = test::open_descriptors();
  OutputStore store("/no/such/folder", plenty);
  CommandOutput output(store);
  EXPECT_TRUE(output.empty());
  ASSERT_TRUE(output.append("abc"));
  ASSERT_TRUE(output.append("def"));
  EXPECT_EQ(store.bytes_held(), 6U);
  EXPECT_EQ(test::open_descriptors(), descriptors);
  EXPECT_EQ(drain(output, 4), "abcdef");
  output.clear();
  EXPECT_EQ(store.bytes_held(), 0U);
}

TEST_F(Outputs, that_are_large_come_back_from_the_file_as_they_were) {
  OutputStore store(directory_.path(), plenty);
  CommandOutput output(store);
  const auto text = bytes_of(3 * slot + 12345, 'a');
  for (std::size_t begin = 0; begin < text.size(); begin += 65537) {
    ASSERT_TRUE(output.append(std::string_view(text).substr(begin, 65537)));
  }
  EXPECT_EQ(store.bytes_held(), text.size());
  EXPECT_TRUE(drain(output, 100'000) == text);
  output.clear();
  EXPECT_EQ(store.bytes_held(), 0U);
}

TEST_F(Outputs, that_take_too_much_memory_together_go_to_the_file) {
  OutputStore store(directory_.path(), 100'000);
  std::vector<std::unique_ptr<CommandOutput>> outputs;
  for (char seed = 'a'; seed <= 'z'; ++seed) {
    outputs.push_back(std::make_unique<CommandOutput>(store));
    ASSERT_TRUE(outputs.back()->append(bytes_of(50'000, seed)));
    ASSERT_TRUE(outputs.back()->append("end"));
  }
  for (char seed = 'a'; seed <= 'z'; ++seed) {
    EXPECT_TRUE(drain(*outputs[static_cast<std::size_t>(seed - 'a')], 7'777) ==
                bytes_of(50'000, seed) + "end");
  }
}

TEST_F(Outputs, use_the_file_again) {
  OutputStore store(directory_.path(), plenty);
  std::size_t largest = 0;
  for (int round = 0; round < 20; ++round) {
    CommandOutput output(store);
    ASSERT_TRUE(output.append(bytes_of(2 * slot, static_cast<char>(round))));
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code closed;
      const auto target = std::filesystem::read_symlink(entry.path(), closed).string();
      if (target.starts_with(directory_.path())) {
        largest = std::max<std::size_t>(largest, std::filesystem::file_size(entry.path()));
      }
    }
  }
  EXPECT_EQ(largest, 2 * slot);
}

TEST_F(Outputs, of_any_sizes_at_once_do_not_mix) {
  std::mt19937_64 random(test::chosen_seed());
  OutputStore store(directory_.path(), 300'000);
  struct Stream {
    explicit Stream(OutputStore& of) : output(of) {}
    CommandOutput output;
    std::string expected;
  };
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 5; ++i) streams.push_back(std::make_unique<Stream>(store));
  for (int step = 0; step < 400; ++step) {
    Stream& stream = *streams[random() % streams.size()];
    if (random() % 20 == 0) {
      EXPECT_TRUE(drain(stream.output, 1 + random() % 90'000) == stream.expected);
      stream.output.clear();
      stream.expected.clear();
      continue;
    }
    const auto text = bytes_of(random() % 90'000, static_cast<char>(random()));
    ASSERT_TRUE(stream.output.append(text));
    stream.expected += text;
  }
  for (auto& stream : streams) EXPECT_TRUE(drain(stream->output, 4096) == stream->expected);
}

TEST_F(Outputs, that_cannot_be_kept_say_where) {
  OutputStore store("/no/such/folder", plenty);
  CommandOutput output(store);
  const auto kept = output.append(bytes_of(slot, 'a'));
  ASSERT_FALSE(kept);
  EXPECT_NE(kept.error().context.find("/no/such/folder"), std::string::npos);
}

}  // namespace
}  // namespace bulkhead::pool
