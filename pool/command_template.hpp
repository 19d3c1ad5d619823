// The command that `map` runs, with a place for its input. Used by the command line. Knows nothing of processes.
#pragma once

#include <bulkhead/error.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::pool {

class CommandTemplate {
 public:
  // `words`: the program, a path or a name that is looked for in PATH, now and never again; then its arguments.
  // `{}` in an argument, inside of it too, stands for the input, which becomes the last argument where no `{}` is.
  // Errors: invalid_argument, with the remedy.
  static Result<CommandTemplate> make(std::vector<std::string> words);

  const std::string& executable() const noexcept { return executable_; }
  // What is in the input stays as it is, `{}` too.
  void fill(std::string_view input, std::vector<std::string>& argv) const;

 private:
  CommandTemplate(std::string executable, std::vector<std::string> words);

  std::string executable_;
  std::vector<std::string> words_;
};

}  // namespace bulkhead::pool
