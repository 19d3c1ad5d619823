// What travels to a pool's workers, and what does not.
#include <gtest/gtest.h>
#include <bulkhead/detail/task_body.hpp>
#include <bulkhead/detail/task_function.hpp>

#include <limits>

namespace bulkhead::detail {
namespace {

struct Point {
  int x = 0;
  double y = 0;
  friend bool operator==(const Point&, const Point&) = default;
};
struct WithPointer {
  int* p = nullptr;
};
class Hidden {  // no constexpr constructor: it has to say that it is plain
 public:
  explicit Hidden(int value) : value_(value) {}
  int value() const { return value_; }

 private:
  int value_;
};

TEST(Shipping, takes_values_and_refuses_what_points_elsewhere) {
  int value = 3;
  std::string text;
  int* const pointer = &value;
  const auto none = [] { return 1; };
  const auto by_value = [value] { return value; };
  const auto by_reference = [&value] { return value; };
  const auto by_pointer = [pointer] { return *pointer; };
  const auto with_string = [text] { return text.size(); };
  const auto nested = [by_reference] { return by_reference(); };
  static_assert(ShippableCallable<decltype(none)> && ShippableCallable<decltype(by_value)>);
  static_assert(!ShippableCallable<decltype(by_reference)>);
  static_assert(!ShippableCallable<decltype(by_pointer)>);
  static_assert(!ShippableCallable<decltype(with_string)>);
  static_assert(!ShippableCallable<decltype(nested)>);
  static_assert(!ShippableCallable<int (*)(int)>);
  static_assert(Plain<Point> && !Plain<WithPointer> && !Plain<std::string>);
  EXPECT_EQ(none() + by_value(), 4);
}

template <class T>
T there_and_back(const T& value) {
  BodyWriter to;
  to.write(value);
  BodyReader from(to.bytes());
  auto read = from.read<T>();
  if (!read) throw std::runtime_error(read.error().to_string());
  EXPECT_TRUE(from.at_end());
  return std::move(*read);
}

TEST(Shipping, brings_back_what_it_was_given) {
  EXPECT_EQ(there_and_back(42), 42);
  EXPECT_EQ(there_and_back(Point{1, 2.5}), (Point{1, 2.5}));
  EXPECT_EQ(there_and_back(std::string("a\0b", 3)), std::string("a\0b", 3));
  EXPECT_EQ(there_and_back(std::vector<Point>{{1, 2}, {3, 4}}),
            (std::vector<Point>{{1, 2}, {3, 4}}));
  EXPECT_EQ(there_and_back(std::vector<std::string>{"", "x"}), (std::vector<std::string>{"", "x"}));
  EXPECT_EQ(there_and_back(std::pair<int, std::string>{1, "b"}),
            (std::pair<int, std::string>{1, "b"}));
  using Three = std::tuple<int, std::string, std::vector<int>>;
  EXPECT_EQ(there_and_back(Three{1, "b", {2, 3}}), (Three{1, "b", {2, 3}}));
  EXPECT_EQ(there_and_back(std::optional<std::string>("x")), std::optional<std::string>("x"));
  EXPECT_EQ(there_and_back(std::optional<std::string>()), std::nullopt);
  using Counts = std::map<std::string, std::uint64_t>;
  EXPECT_EQ(there_and_back(Counts{{"a", 1}, {"b", 2}}), (Counts{{"a", 1}, {"b", 2}}));
  EXPECT_EQ(there_and_back(nlohmann::json{{"k", {1, 2}}}), (nlohmann::json{{"k", {1, 2}}}));
}

template <class T>
void refuses_less(const T& value) {
  BodyWriter to;
  to.write(value);
  for (std::size_t length = 0; length < to.bytes().size(); ++length) {
    BodyReader from(std::span(to.bytes()).first(length));
    const auto read = from.read<T>();
    ASSERT_FALSE(read) << length;
    EXPECT_TRUE(read.error().is(Errc::protocol_violation));
  }
}

TEST(Shipping, refuses_a_body_that_ends_too_early) {
  refuses_less(std::uint64_t{7});
  refuses_less(std::string("hello"));
  refuses_less(std::vector<std::uint32_t>{1, 2, 3});
  refuses_less(std::vector<std::string>{"a", "bc"});
  refuses_less(std::map<std::string, int>{{"a", 1}});
  refuses_less(std::optional<std::string>("abc"));
}

TEST(Shipping, allocates_nothing_for_a_length_that_cannot_be) {
  BodyWriter to;
  to.write(std::numeric_limits<std::uint64_t>::max());
  BodyReader numbers(to.bytes()), texts(to.bytes());
  EXPECT_FALSE(numbers.read<std::vector<double>>());
  EXPECT_FALSE(texts.read<std::vector<std::string>>());
}

}  // namespace
}  // namespace bulkhead::detail

template <>
inline constexpr bool bulkhead::raw_body<bulkhead::detail::Hidden> = true;

namespace bulkhead::detail {
namespace {

TEST(Shipping, takes_a_type_that_says_it_is_plain) {
  EXPECT_EQ(there_and_back(Hidden(5)).value(), 5);
}

}  // namespace
}  // namespace bulkhead::detail
