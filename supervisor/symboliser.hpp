// Finds out which function, file and line stand at an offset of a program: debug information and symbols, by libdw.
// A program of its own (bulkhead-symboliser), because the files are named by workers that have crashed and may hold
// anything: whoever wants names starts it, and loses nothing when it dies.
#pragma once

#include <elfutils/libdwfl.h>

#include <bulkhead/error.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"

namespace bulkhead::supervisor {

struct SourcePlace {
  std::string function;  // demangled; "" where it is not known
  std::string file;      // likewise
  int line = 0;
  bool is_inlined = false;  // into the place that follows
};

std::string build_id_of(Dwfl_Module*);  // in hexadecimal; "" for none

// Threads: one at a time.
class Symboliser {
 public:
  // `build_id` in hexadecimal; "" where the program bears none, which is only fine when this file has none either.
  // Errors: not_found for what is no program any more; version_mismatch for a file of another build.
  static Result<Symboliser> open(const std::string& path, std::string_view build_id);
  Symboliser(Symboliser&&) noexcept;
  Symboliser& operator=(Symboliser&&) = delete;
  ~Symboliser();

  // The innermost first: what was inlined there, then the function itself. Never empty.
  std::vector<SourcePlace> places(std::uint64_t offset) const;

 private:
  Symboliser() = default;
  Dwfl* session_ = nullptr;
  Dwfl_Module* module_ = nullptr;
};

}  // namespace bulkhead::supervisor
