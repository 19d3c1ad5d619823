// Structures in sealed memory: read in place, at any address, and only as what they are.
#include <bulkhead/structure.hpp>

#include <gtest/gtest.h>

#include <boost/container/map.hpp>
#include <boost/container/scoped_allocator.hpp>
#include <boost/container/string.hpp>
#include <boost/container/vector.hpp>
#include <cstring>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/descriptors.hpp"

namespace bulkhead {
namespace {

using Text = boost::container::basic_string<char, std::char_traits<char>, StructureAllocator<char>>;
using Lines =
    boost::container::vector<Text,
                             boost::container::scoped_allocator_adaptor<StructureAllocator<Text>>>;
using Index = boost::container::map<
    Text, Lines, std::less<Text>,
    boost::container::scoped_allocator_adaptor<StructureAllocator<std::pair<const Text, Lines>>>>;

constexpr std::size_t budget = std::size_t{1} << 20;

Result<SealedBuffer> build_index(int entries, std::size_t bytes_max = budget) {
  return build_structure<Index>("index", bytes_max, [&](Index& index, auto memory) {
    for (int i = 0; i < entries; ++i) {
      const std::string key =
          "a key that is too long to lie in the string itself " + std::to_string(i);
      auto& lines = index[Text(key.c_str(), memory)];
      for (int line = 0; line <= i % 3; ++line) {
        lines.emplace_back(("a line that is too long as well " + std::to_string(line)).c_str());
      }
    }
  });
}

void expect_index(const Index& index, int entries) {
  ASSERT_EQ(index.size(), static_cast<std::size_t>(entries));
  int seen = 0;
  for (const auto& [key, lines] : index) {
    const int i = std::stoi(std::string(key.c_str()).substr(51));
    ASSERT_EQ(lines.size(), static_cast<std::size_t>(i % 3 + 1));
    for (std::size_t line = 0; line < lines.size(); ++line) {
      EXPECT_EQ(lines[line], ("a line that is too long as well " + std::to_string(line)).c_str());
    }
    ++seen;
  }
  EXPECT_EQ(seen, entries);
}

TEST(Structure, is_read_at_two_addresses_in_one_process) {
  const auto buffer = build_index(100).value();
  const auto here = Structure<Index>::open(SealedBuffer::open(buffer.fd()).value()).value();
  const auto there = Structure<Index>::open(SealedBuffer::open(buffer.fd()).value()).value();
  EXPECT_NE(&*here, &*there);
  expect_index(*here, 100);
  expect_index(*there, 100);
  EXPECT_EQ(here->begin()->second.size(), there->begin()->second.size());
}

TEST(Structure, takes_no_more_memory_than_it_needs) {
  EXPECT_LT(build_index(1).value().bytes().size(), 4096U);
  EXPECT_LT(build_index(100).value().bytes().size(), 50'000U);
}

TEST(Structure, may_be_a_plain_struct) {
  struct Point {
    double x = 0, y = 0;
  };
  const auto buffer = build_structure<Point>("point", budget, [](Point& point, auto) {
                        point = {1.5, -2};
                      }).value();
  const auto point = Structure<Point>::open(buffer).value();
  EXPECT_EQ(point->x, 1.5);
  EXPECT_EQ(point->y, -2);
}

TEST(Structure, that_outgrows_its_budget_is_an_error_and_leaves_nothing) {
  const auto before = test::open_descriptors();
  for (const std::size_t bytes : {0, 1, 64, 200, 1000, 5000}) {
    const auto refused = build_index(100, bytes);
    ASSERT_FALSE(refused) << bytes;
    EXPECT_TRUE(refused.error().is(Errc::out_of_budget)) << refused.error().to_string();
    EXPECT_NE(refused.error().context.find(std::to_string(bytes)), std::string::npos);
  }
  EXPECT_EQ(test::open_descriptors(), before);
}

TEST(Structure, hands_on_what_its_builder_fails_with) {
  const auto before = test::open_descriptors();
  const auto failed = build_structure<Index>("index", budget, [](Index&, auto) -> Result<void> {
    return make_error(Errc::not_found, "the source of it all");
  });
  EXPECT_TRUE(failed.error().is(Errc::not_found));
  EXPECT_THROW(
      (void)build_structure<Index>("index", budget,
                                   [](Index&, auto) { throw std::runtime_error("no such thing"); }),
      std::runtime_error);
  EXPECT_EQ(test::open_descriptors(), before);
}

TEST(Structure, is_refused_by_who_takes_it_for_something_else) {
  const auto buffer = build_index(3).value();
  const auto other = Structure<Lines>::open(buffer);
  ASSERT_FALSE(other);
  EXPECT_TRUE(other.error().is(Errc::version_mismatch)) << other.error().to_string();
}

std::vector<std::byte> bytes_of(const SealedBuffer& buffer) {
  return {buffer.bytes().begin(), buffer.bytes().end()};
}

TEST(Structure, is_not_any_sealed_memory) {
  const auto whole = bytes_of(build_index(3).value());
  const auto refuse = [](const std::vector<std::byte>& bytes) {
    const auto opened = Structure<Index>::open(SealedBuffer::copy_of("forged", bytes).value());
    ASSERT_FALSE(opened);
    EXPECT_TRUE(opened.error().is(Errc::protocol_violation)) << opened.error().to_string();
  };
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{63}, std::size_t{64}, whole.size() - 1}) {
    refuse({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
  }
  auto longer = whole;
  longer.push_back(std::byte{});
  refuse(longer);
  for (const std::uint64_t root :
       {std::uint64_t{0}, std::uint64_t{whole.size()}, ~std::uint64_t{0}, std::uint64_t{65}}) {
    auto moved = whole;
    std::memcpy(moved.data() + offsetof(detail::StructureHead, root), &root, sizeof root);
    refuse(moved);
  }
  // A copy of the bytes is the structure again: nothing in it depends on where it lies.
  const auto copy = Structure<Index>::open(SealedBuffer::copy_of("copy", whole).value());
  ASSERT_TRUE(copy);
  expect_index(**copy, 3);
}

TEST(Structure, opens_nothing_whose_head_was_overwritten_at_random) {
  const auto whole = bytes_of(build_index(3).value());
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    auto bytes = whole;
    const std::size_t at = random() % offsetof(detail::StructureHead, root);
    bytes[at] ^= static_cast<std::byte>(1 + random() % 255);
    EXPECT_FALSE(Structure<Index>::open(SealedBuffer::copy_of("forged", bytes).value())) << at;
  }
}

}  // namespace
}  // namespace bulkhead
