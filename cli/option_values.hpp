// What an option's value may be, where CLI11 would take more than is meant. Each returns what is wrong, "" for nothing.
#pragma once

#include <string>

namespace bulkhead::cli {

std::string whole_number(const std::string& text);
std::string not_empty(const std::string& text);

}  // namespace bulkhead::cli
