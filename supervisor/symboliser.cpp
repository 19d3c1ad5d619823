#include "supervisor/symboliser.hpp"

#include <cxxabi.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

namespace bulkhead::supervisor {
namespace {

const Dwfl_Callbacks callbacks{.find_elf = nullptr,
                               .find_debuginfo = dwfl_standard_find_debuginfo,
                               .section_address = dwfl_offline_section_address,
                               .debuginfo_path = nullptr};

std::string demangled(const char* name) {
  if (name == nullptr) return "";
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> readable(
      abi::__cxa_demangle(name, nullptr, nullptr, &status), &std::free);
  return status == 0 ? readable.get() : name;
}

bool is_function(Dwarf_Die* die) {
  const int tag = dwarf_tag(die);
  return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine || tag == DW_TAG_entry_point;
}

std::string name_of(Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  for (const unsigned name : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name}) {
    if (dwarf_attr_integrate(die, name, &attribute) != nullptr) {
      return demangled(dwarf_formstring(&attribute));
    }
  }
  const char* const plain = dwarf_diename(die);
  return plain != nullptr ? plain : "";
}

// Where an inlined function was called.
void set_call_site(Dwarf_Die* die, Dwarf_Die* unit, SourcePlace& place) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  Dwarf_Files* files = nullptr;
  place.file.clear();
  place.line = 0;
  if (dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attribute), &value) == 0) {
    place.line = static_cast<int>(value);
  }
  if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &value) == 0 &&
      dwarf_getsrcfiles(unit, &files, nullptr) == 0) {
    const char* const file = dwarf_filesrc(files, value, nullptr, nullptr);
    if (file != nullptr) place.file = file;
  }
}

// The functions around an address, the innermost first: those inlined, and the one that they are inlined into.
std::vector<Dwarf_Die> functions_at(Dwarf_Die* unit, Dwarf_Addr address) {
  std::vector<Dwarf_Die> functions;
  Dwarf_Die* scopes = nullptr;
  if (dwarf_getscopes(unit, address, &scopes) <= 0) return functions;
  Dwarf_Die innermost = scopes[0];
  std::free(scopes);
  scopes = nullptr;
  // Those around it in the program text; the first call goes from an inlined one to where it was declared.
  const int count = dwarf_getscopes_die(&innermost, &scopes);
  for (int i = 0; i < count; ++i) {
    if (!is_function(&scopes[i])) continue;
    functions.push_back(scopes[i]);
    if (dwarf_tag(&scopes[i]) == DW_TAG_subprogram) break;
  }
  std::free(scopes);
  return functions;
}

}  // namespace

std::string build_id_of(Dwfl_Module* module) {
  const unsigned char* bytes = nullptr;
  GElf_Addr where = 0;
  const int count = dwfl_module_build_id(module, &bytes, &where);
  std::string text;
  for (int i = 0; i < count; ++i) {
    std::array<char, 4> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", bytes[i]);
    text += digits.data();
  }
  return text;
}

Symboliser::Symboliser(Symboliser&& other) noexcept
    : session_(std::exchange(other.session_, nullptr)),
      module_(std::exchange(other.module_, nullptr)) {}

Symboliser::~Symboliser() {
  if (session_ != nullptr) dwfl_end(session_);
}

Result<Symboliser> Symboliser::open(const std::string& path, std::string_view build_id) {
  // A fifo or device would be waited for.
  base::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!file.is_open() || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return make_error(Errc::not_found, path + " is not there any more");
  }
  Symboliser made;
  made.session_ = dwfl_begin(&callbacks);
  if (made.session_ == nullptr) return make_error(Errc::out_of_budget, "libdw has no memory");
  dwfl_report_begin(made.session_);
  made.module_ = dwfl_report_elf(made.session_, path.c_str(), path.c_str(), file.get(), 0, true);
  if (made.module_ == nullptr) {
    return make_error(Errc::not_found, path + " is no program: " + dwfl_errmsg(-1));
  }
  (void)file.release();  // libdw's now
  dwfl_report_end(made.session_, nullptr, nullptr);
  if (build_id_of(made.module_) != build_id) {
    return make_error(Errc::version_mismatch,
                      path + " was replaced since the crash: its build-id is another");
  }
  return made;
}

std::vector<SourcePlace> Symboliser::places(std::uint64_t offset) const {
  SourcePlace place;
  if (Dwfl_Line* const line = dwfl_module_getsrc(module_, offset)) {
    const char* const file = dwfl_lineinfo(line, nullptr, &place.line, nullptr, nullptr, nullptr);
    if (file != nullptr) place.file = file;
  }
  std::vector<SourcePlace> places;
  Dwarf_Addr bias = 0;
  if (Dwarf_Die* const unit = dwfl_module_addrdie(module_, offset, &bias)) {
    for (Dwarf_Die& function : functions_at(unit, offset - bias)) {
      place.function = name_of(&function);
      place.is_inlined = dwarf_tag(&function) == DW_TAG_inlined_subroutine;
      places.push_back(place);
      if (place.is_inlined) set_call_site(&function, unit, place);
    }
  }
  // The symbol has the whole name also where the debug information has only the last part of it.
  const std::string symbol = demangled(dwfl_module_addrname(module_, offset));
  if (places.empty()) {
    place.is_inlined = false;
    places.push_back(place);
  }
  if (!symbol.empty() && !places.back().is_inlined) places.back().function = symbol;
  return places;
}

}  // namespace bulkhead::supervisor
