// The command lines of keeper and brain: what one writes the other reads.
#include "supervisor/brain_arguments.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "supervisor/sealed_config.hpp"

namespace bulkhead::supervisor {
namespace {

template <class Parse>
auto parse_words(Parse&& parse, const std::vector<std::string>& words) {
  std::vector<const char*> argv;
  for (const auto& word : words) argv.push_back(word.c_str());
  return parse(static_cast<int>(argv.size()), argv.data());
}

BrainArguments some_brain() {
  BrainArguments brain;
  brain.keeper_page = 3;
  brain.state = 4;
  brain.keeper_socket = 5;
  brain.listener = 6;
  brain.config = 7;
  brain.system = {"demo", "/run/b", "/run/b/demo.sock", "/opt/bin", LogFormat::json, true};
  return brain;
}

TEST(BrainArguments, are_read_as_they_were_written) {
  const auto read = parse_words(parse_brain_arguments, command_line("brain", some_brain()));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->keeper_page, 3);
  EXPECT_EQ(read->state, 4);
  EXPECT_EQ(read->keeper_socket, 5);
  EXPECT_EQ(read->listener, 6);
  EXPECT_EQ(read->config, 7);
  EXPECT_EQ(read->system.name, "demo");
  EXPECT_EQ(read->system.runtime_dir, "/run/b");
  EXPECT_EQ(read->system.control_path, "/run/b/demo.sock");
  EXPECT_EQ(read->system.program_directory, "/opt/bin");
  EXPECT_EQ(read->system.log_format, LogFormat::json);
  EXPECT_TRUE(read->system.detached);
}

TEST(KeeperArguments, are_read_as_they_were_written) {
  KeeperArguments keeper;
  keeper.keeper_page = 3;
  keeper.state = 4;
  keeper.lock = 5;
  keeper.listener = 6;
  keeper.config = 7;
  keeper.brain_program = "/opt/bin/brain";
  keeper.system = some_brain().system;
  keeper.system.detached = false;
  const auto read = parse_words(parse_keeper_arguments, command_line("keeper", keeper));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->lock, 5);
  EXPECT_EQ(read->brain_program, "/opt/bin/brain");
  EXPECT_FALSE(read->system.detached);
}

TEST(BrainArguments, name_the_option_that_is_wrong) {
  const auto complaint = [](std::vector<std::string> words) {
    const auto read = parse_words(parse_brain_arguments, words);
    return read ? "" : read.error().context;
  };
  auto words = command_line("brain", some_brain());
  EXPECT_EQ(complaint({"brain", "--state"}), "--state needs a value");
  EXPECT_EQ(complaint({"brain", "--state", "4x"}),
            "--state needs the number of a descriptor, not \"4x\"");
  EXPECT_EQ(complaint({"brain", "--lock", "4"}), "--lock is not known here");
  EXPECT_EQ(complaint({"brain", "--log-format", "xml"}), "--log-format is text or json");
  words.erase(words.begin() + 1, words.begin() + 3);
  EXPECT_EQ(complaint(words), "--name is missing");
}

TEST(SealedConfig, is_read_as_it_was_written_and_cannot_be_changed) {
  const ConfigText config{"/etc/a\nb.json", std::string("{}\0x", 4)};
  const auto fd = seal_config(config);
  ASSERT_TRUE(fd);
  const auto read = read_sealed_config(fd->get());
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->path, config.path);
  EXPECT_EQ(read->text, config.text);
  EXPECT_NE(::write(fd->get(), "x", 1), 1);
}

TEST(SealedConfig, is_refused_when_it_is_not_sealed) {
  const auto open = base::make_memfd("config", true);
  EXPECT_TRUE(read_sealed_config(open->get()).error().is(Errc::invalid_argument));
}

}  // namespace
}  // namespace bulkhead::supervisor
