// Holds a document to the code that it quotes. Used by the tests of guides.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace bulkhead::test {

inline std::string text_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

inline std::string beside_this_program(const std::string& name) {
  return (std::filesystem::canonical("/proc/self/exe").parent_path() / name).string();
}

// Each block of C++ in the guide stands, as it is, in a file of docs/examples, which are compiled. Returns how many.
inline int check_quoted_code(const std::filesystem::path& docs, const std::string& guide_name) {
  std::string examples;
  for (const auto& entry : std::filesystem::directory_iterator(docs / "examples")) {
    examples += text_of(entry.path());
  }
  const auto guide = text_of(docs / guide_name);
  const std::string fence = "```cpp\n";
  int blocks = 0;
  for (auto at = guide.find(fence); at != std::string::npos; at = guide.find(fence, at)) {
    at += fence.size();
    const auto block = guide.substr(at, guide.find("```", at) - at);
    EXPECT_NE(examples.find(block), std::string::npos) << block;
    ++blocks;
  }
  return blocks;
}

}  // namespace bulkhead::test
