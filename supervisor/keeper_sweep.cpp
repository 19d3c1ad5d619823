#include "supervisor/keeper_sweep.hpp"

#include <algorithm>

namespace bulkhead::supervisor {
namespace {

enum class Owner { instance, pair, link };

// The name of the owner is what is left after so many parts.
struct Kind {
  std::string_view first;
  std::size_t parts;
  Owner owner;
};
constexpr Kind kinds[] = {{"log/", 2, Owner::instance},       {"control/", 1, Owner::instance},
                          {"attention/", 1, Owner::instance}, {"beat/", 1, Owner::instance},
                          {"sealed/", 2, Owner::instance},    {"crash/", 1, Owner::instance},
                          {"notify/", 1, Owner::instance},    {"note/", 1, Owner::instance},
                          {"ready/", 1, Owner::instance},     {"stored/", 2, Owner::instance},
                          {"segment/", 3, Owner::pair},       {"connection/", 3, Owner::pair},
                          {"lease/", 1, Owner::pair},         {"journal/", 1, Owner::link}};

std::string_view after_parts(std::string_view tag, std::size_t parts) {
  for (; parts > 0 && !tag.empty(); --parts) {
    tag.remove_prefix(std::min(tag.size(), tag.find('/')));
    if (!tag.empty()) tag.remove_prefix(1);
  }
  return tag;
}

}  // namespace

bool is_stranger(std::string_view tag, const Residents& residents) {
  for (const auto& [first, parts, owner] : kinds) {
    if (!tag.starts_with(first)) continue;
    auto name = after_parts(tag, parts);
    if (owner == Owner::instance)
      name = name.substr(0, name.find('/'));  // a stored one's name follows
    const auto& known = owner == Owner::instance ? residents.instances
                        : owner == Owner::pair   ? residents.pairs
                                                 : residents.links;
    return !known.contains(name);
  }
  return false;
}

}  // namespace bulkhead::supervisor
