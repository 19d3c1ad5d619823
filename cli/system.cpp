#include "cli/system.hpp"

#include <filesystem>
#include <system_error>

namespace bulkhead::cli {

namespace fs = std::filesystem;

Result<Connection> reach(const SystemChoice& choice) {
  if (choice.name.find('/') != std::string::npos) {
    return make_error(Errc::invalid_argument,
                      "--name " + choice.name + " is a path; --control takes one");
  }
  // A slash tells connect() that it is a path.
  if (!choice.control.empty()) return connect(fs::absolute(choice.control).string());
  return connect(choice.name);
}

Result<nlohmann::json> all_incidents(Connection& system, std::uint64_t since) {
  auto all = nlohmann::json::array();
  for (;;) {
    const auto page = system.request("incidents", {{"since", since}}, Deadline::in(answer_timeout));
    if (!page) return page.error();
    for (const auto& incident : page->at("incidents")) all.push_back(incident);
    if (page->at("complete") == true) return all;
    since = page->at("next").get<std::uint64_t>();
  }
}

std::string program_path() {
  std::error_code error;
  const auto path = fs::read_symlink("/proc/self/exe", error);
  return error ? "bulkhead" : path.string();
}

std::string program_directory() { return fs::path(program_path()).parent_path().string(); }

}  // namespace bulkhead::cli
