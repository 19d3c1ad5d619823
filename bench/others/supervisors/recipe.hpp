// How each supervisor is told to keep one program running, as its manual says is the fastest. Used by supervised.cpp,
// which runs it, and by the report, which names it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bulkhead::bench::others {

struct Recipe {
  std::string peer;     // "bulkhead", "s6", …
  std::string package;  // Debian's; "" for ours
  std::string program;  // a path, or a name that is looked for in PATH
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "NAME=VALUE", besides ours
  // The supervisor runs in a directory that has these; `./run` is there, too: the program to keep running.
  struct File {
    std::string name, text;
  };
  std::vector<File> files;
};

// Ours is first.
std::vector<Recipe> all_recipes(const std::string& bulkhead_program);
Recipe bulkhead_recipe(const std::string& program);
Recipe supervisord_recipe();
Recipe s6_recipe();
Recipe runit_recipe();
Recipe erlang_recipe();

// The path of its program; empty when it is not installed.
std::filesystem::path find_program(const Recipe&);
// The version of its Debian package; empty when dpkg does not know.
std::string package_version(const Recipe&);

}  // namespace bulkhead::bench::others
