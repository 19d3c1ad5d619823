// The files of tests/configs/wrong. Each says itself what is wrong with it: "//! " begins an expected line,
// without the file's name; {DIR} is the file's directory. "//? lenient" leaves the machine out.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace bulkhead::test {

struct WrongConfigFile {
  std::string path, text;
  std::string issues;  // the expected lines, each begins with the path
  bool check_machine = true;
};

inline WrongConfigFile wrong_config(const std::filesystem::path& directory,
                                    const std::string& name) {
  WrongConfigFile file;
  file.path = (directory / (name + ".json")).string();
  std::ostringstream text;
  text << std::ifstream(file.path).rdbuf();
  file.text = text.str();
  std::istringstream stream(file.text);
  for (std::string line; std::getline(stream, line);) {
    if (line == "//? lenient") file.check_machine = false;
    if (!line.starts_with("//! ")) continue;
    line.erase(0, 4);
    for (auto at = line.find("{DIR}"); at != std::string::npos; at = line.find("{DIR}")) {
      line.replace(at, 5, directory.string());
    }
    file.issues += file.path + ":" + line + "\n";
  }
  return file;
}

inline std::vector<std::string> wrong_config_names(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace bulkhead::test
