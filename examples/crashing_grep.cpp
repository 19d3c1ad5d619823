// grep through files of a small format, with a parser that has four bugs. The program plants files in a temporary
// directory, four of which hit a bug each; the pool loses these four and nothing else, and says where each bug is.
//
//   crashing_grep [FILES]
//
// The format: `$name` stands for a value, `(…)` is a group and may nest, what is between `#[` and `]#` is a comment.
#include <bulkhead/pool.hpp>

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

using bulkhead::FailureCause;
namespace fs = std::filesystem;

constexpr const char* word = "lighthouse";

// Not inlined, so that each bug is in a function of its own, however this is compiled.
class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) {}

  // The text as it is read: names replaced, comments and parentheses gone.
  std::string expand() {
    while (at_ < text_.size()) expand_one();
    return out_;
  }

 private:
  [[gnu::noinline]] void expand_one() {
    const char c = text_[at_++];
    if (c == '(') return expand_group();
    if (c == ')') std::abort();  // Bug 1: it "cannot happen".
    if (c == '$') return expand_name();
    if (c == '#' && text_[at_] == '[') return skip_comment();
    out_ += c;
  }
  // Bug 2: goes as deep as the file wants.
  [[gnu::noinline]] void expand_group() {
    while (at_ < text_.size() && text_[at_] != ')') expand_one();
    ++at_;
  }
  // Bug 3: a name that nobody knows.
  [[gnu::noinline]] void expand_name() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && std::isalpha(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
    const char* value = value_of(text_.substr(begin, at_ - begin));
    for (; *value != '\0'; ++value) out_ += *value;
  }
  // Bug 4: a comment that nobody closes.
  [[gnu::noinline]] void skip_comment() {
    std::size_t end = at_;
    do {
      end = text_.find("]#", end);
    } while (end == std::string::npos);
    at_ = end + 2;
  }

  static const char* value_of(const std::string& name) {
    if (name == "lamp") return "lighthouse";
    if (name == "boat") return "ferry";
    return nullptr;
  }

  const std::string& text_;
  std::size_t at_ = 0;
  std::string out_;
};

// "LINE: TEXT" of each line with the word.
std::vector<std::string> matches_in(const std::string& path) {
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  std::istringstream expanded(Parser(text).expand());
  std::vector<std::string> matches;
  std::string line;
  for (int number = 1; std::getline(expanded, line); ++number) {
    if (line.find(word) != std::string::npos) {
      matches.push_back(std::to_string(number) + ": " + line);
    }
  }
  return matches;
}

// A directory that ends with its scope.
struct TemporaryDirectory {
  TemporaryDirectory() {
    std::string pattern = (fs::temp_directory_path() / "crashing_grep_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::perror("mkdtemp"), std::exit(1);
    path = pattern;
  }
  ~TemporaryDirectory() { fs::remove_all(path); }
  fs::path path;
};

// Files that cannot be parsed, and what becomes of who tries.
using Casualties = std::map<std::string, FailureCause>;

Casualties plant(const fs::path& directory, int files) {
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(directory / name) << text;
    return (directory / name).string();
  };
  for (int i = 0; i < files; ++i) {
    const std::string name = i % 25 == 0 ? "$lamp" : "$boat";
    write(std::to_string(1000 + i) + ".note",
          "#[ seen from the sea ]#\n(the (" + name + ") of harbour " + std::to_string(i) + ")\n");
  }
  return {
      {write("1003a.note", "the harbour) has no beginning\n"), FailureCause::signal},
      {write("1005a.note", std::string(2'000'000, '(')), FailureCause::signal},
      {write("1007a.note", "the $whale is not there\n"), FailureCause::signal},
      {write("1009a.note", "#[ here ends\n"), FailureCause::timed_out},
  };
}

// The innermost frame of this program's own source, which is what its author wants to see.
void print_place(const bulkhead::TaskFailure& failure) {
  for (const auto& frame : failure.backtrace()) {
    if (frame.line == 0 || fs::path(frame.file).filename() != "crashing_grep.cpp") continue;
    std::printf("    in %s at crashing_grep.cpp:%d\n", frame.function.c_str(), frame.line);
    return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  bulkhead::Pool::entry(argc, argv);
  const int files = argc == 2 ? std::atoi(argv[1]) : 200;
  if (argc > 2 || files < 10 || files > 9000) {
    std::fprintf(stderr, "usage: crashing_grep [FILES]   from 10 to 9000\n");
    return 2;
  }
  const TemporaryDirectory directory;
  const Casualties planted = plant(directory.path, files);
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(directory.path)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());

  bulkhead::Pool pool;
  const auto found = pool.map_with({.timeout = std::chrono::seconds(2)}, paths,
                                   [](const std::string& path) { return matches_in(path); });

  Casualties quarantined;
  for (const auto& [item, failure] : found.failures) {
    const auto name = fs::path(paths[item]).filename();
    std::printf("quarantined %s: %s: %s\n", name.c_str(), to_string(failure.cause),
                failure.in_words().c_str());
    print_place(failure);
    quarantined[paths[item]] = failure.cause;
  }
  bool right = quarantined == planted;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    for (const auto& match : found.values[i]) {
      std::printf("%s:%s\n", fs::path(paths[i]).filename().c_str(), match.c_str());
    }
    if (!planted.contains(paths[i])) right = right && found.values[i] == matches_in(paths[i]);
  }
  if (!right) {
    std::fprintf(stderr, "crashing_grep: this is not what was planted\n");
    return 1;
  }
  std::printf("check: %zu files quarantined, all others as in a serial run\n", quarantined.size());
  return 0;
}
