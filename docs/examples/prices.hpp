// A price list in sealed memory, as its maker and its readers know it. Quoted in docs/guide-worker.md.
#pragma once

#include <bulkhead/structure.hpp>

#include <boost/container/map.hpp>
#include <boost/container/string.hpp>
#include <functional>
#include <utility>

using Text = boost::container::basic_string<char, std::char_traits<char>,
                                            bulkhead::StructureAllocator<char>>;
using Prices = boost::container::map<Text, double, std::less<>,
                                     bulkhead::StructureAllocator<std::pair<const Text, double>>>;
