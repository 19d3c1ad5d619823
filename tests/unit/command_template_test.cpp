// Where an input goes in a command, and which program is run.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "pool/command_template.hpp"
#include "tests/support/temporary_directory.hpp"

namespace bulkhead::pool {
namespace {

using Words = std::vector<std::string>;

Words filled(Words words, const std::string& input) {
  const auto made = CommandTemplate::make(std::move(words));
  EXPECT_TRUE(made) << made.error().to_string();
  Words argv{"left from before"};
  if (made) made->fill(input, argv);
  return argv;
}

std::string refusal(Words words) {
  const auto made = CommandTemplate::make(std::move(words));
  EXPECT_FALSE(made);
  if (made) return "";
  EXPECT_TRUE(made.error().is(Errc::invalid_argument));
  return made.error().context;
}

TEST(CommandTemplate, puts_the_input_wherever_its_place_is) {
  EXPECT_EQ(filled({"/bin/cp", "{}", "--to={}.bak", "{}{}"}, "a b"),
            (Words{"/bin/cp", "a b", "--to=a b.bak", "a ba b"}));
}

TEST(CommandTemplate, appends_the_input_where_there_is_no_place) {
  EXPECT_EQ(filled({"/bin/cat", "-n"}, "x"), (Words{"/bin/cat", "-n", "x"}));
  EXPECT_EQ(filled({"/bin/cat"}, ""), (Words{"/bin/cat", ""}));
}

TEST(CommandTemplate, leaves_a_place_in_the_input_alone) {
  EXPECT_EQ(filled({"/bin/echo", "<{}>"}, "{}"), (Words{"/bin/echo", "<{}>"}));
  EXPECT_EQ(filled({"/bin/echo", "{ }", "}{", "{"}, "x"),
            (Words{"/bin/echo", "{ }", "}{", "{", "x"}));
}

TEST(CommandTemplate, finds_a_bare_name_in_path_and_no_other) {
  const test::TemporaryDirectory directory;
  const auto program = directory.write("find-me", "#!/bin/sh\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  directory.write("not-executable", "");
  std::filesystem::create_directory(directory.path("folder"));
  const std::string before = std::getenv("PATH");
  ::setenv("PATH", ("/nowhere::" + directory.path()).c_str(), 1);
  const auto found = CommandTemplate::make({"find-me"});
  EXPECT_NE(refusal({"not-executable"}).find("chmod +x"), std::string::npos);
  EXPECT_NE(refusal({"folder"}).find("not found in PATH"), std::string::npos);
  EXPECT_NE(refusal({"ls"}).find("\"ls\" is not found in PATH"), std::string::npos);
  ::setenv("PATH", before.c_str(), 1);
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_EQ(std::filesystem::path(found->executable()).lexically_normal(), program);
}

TEST(CommandTemplate, refuses_what_is_no_program_with_the_remedy) {
  EXPECT_NE(refusal({}).find("write it after --"), std::string::npos);
  EXPECT_NE(refusal({"", "x"}).find("write it after --"), std::string::npos);
  EXPECT_NE(refusal({"/no/such/program"}).find("there is no /no/such/program"), std::string::npos);
  EXPECT_NE(refusal({"/tmp"}).find("/tmp is no file"), std::string::npos);
  EXPECT_NE(refusal({"{}"}).find("env {}"), std::string::npos);
}

}  // namespace
}  // namespace bulkhead::pool
