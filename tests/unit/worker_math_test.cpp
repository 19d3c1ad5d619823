// The methods of the math service, and how built-in workers read their config.
#include <gtest/gtest.h>

#include "workers/builtin/arithmetic.hpp"
#include "workers/builtin/settings.hpp"

namespace bulkhead::workers {
namespace {

using Json = nlohmann::json;

TEST(Add, keeps_whole_numbers_whole) {
  EXPECT_EQ(add(Json{1, 2}).value().dump(), "3");
  EXPECT_EQ(add(Json{-5, 2}).value().dump(), "-3");
  EXPECT_EQ(add(Json{0.5, 2}).value().dump(), "2.5");
}

TEST(Add, does_not_wrap_around) {
  const auto most = std::numeric_limits<std::int64_t>::max();
  EXPECT_DOUBLE_EQ(add(Json{most, 1}).value().get<double>(), 9223372036854775808.0);
  EXPECT_DOUBLE_EQ(add(Json{std::numeric_limits<std::uint64_t>::max(), 0}).value().get<double>(),
                   18446744073709551615.0);
}

TEST(Add, says_what_it_takes) {
  for (const auto& wrong : {Json(1), Json{1}, Json{1, 2, 3}, Json{"1", 2}, Json::object()}) {
    const auto answer = add(wrong);
    ASSERT_FALSE(answer) << wrong.dump();
    EXPECT_TRUE(answer.error().is(Errc::invalid_argument));
    EXPECT_NE(answer.error().context.find("[1, 2]"), std::string::npos);
  }
}

bool is_prime(std::uint64_t n) {
  if (n < 2) return false;
  for (std::uint64_t d = 2; d * d <= n; ++d) {
    if (n % d == 0) return false;
  }
  return true;
}

TEST(Primes, agree_with_trial_division) {
  std::uint64_t count = 0;
  for (std::uint64_t n = 0; n < 3000; ++n) {
    ASSERT_EQ(count_primes(Json(n)).value(), count) << n;
    if (is_prime(n)) ++count;
  }
}

TEST(Primes, are_right_beyond_one_block_of_the_sieve) {
  EXPECT_EQ(count_primes(Json{1'000'000}).value(), 78'498);
  EXPECT_EQ(count_primes(Json((1 << 17) + 2)).value(), 12'251);
}

TEST(Primes, refuse_what_they_cannot_count) {
  for (const auto& wrong :
       {Json(-1), Json(1.5), Json("7"), Json(primes_below_max + 1), Json{1, 2}}) {
    EXPECT_FALSE(count_primes(wrong)) << wrong.dump();
  }
}

TEST(MatrixProduct, multiplies_rows_by_columns) {
  EXPECT_EQ(matrix_product(Json::parse("[[[1,2],[3,4]],[[5],[6]]]")).value().dump(), "[[17],[39]]");
  EXPECT_EQ(matrix_product(Json::parse("[[[0.5]],[[3]]]")).value().dump(), "[[1.5]]");
}

TEST(MatrixProduct, refuses_shapes_that_do_not_fit) {
  for (const char* const wrong : {"[]", "[[[1]]]", "[[[1,2]],[[1]]]", "[[[1],[2,3]],[[1]]]",
                                  "[[[]],[[1]]]", "[[1],[[1]]]", "[[[\"a\"]],[[1]]]"}) {
    EXPECT_FALSE(matrix_product(Json::parse(wrong))) << wrong;
  }
}

TEST(Settings, read_units_and_leave_defaults_alone) {
  const auto config = Json{{"link", "l"}, {"after", "250ms"}, {"bytes", "64KiB"}, {"x-note", 1}};
  std::string link, other = "default";
  std::chrono::nanoseconds after{};
  std::uint64_t bytes = 0, count = 5;
  ASSERT_TRUE(Settings(config)
                  .text("link", link)
                  .text("other", other)
                  .duration("after", after)
                  .size("bytes", bytes, 1, 1 << 20)
                  .count("count", count, 0, 9)
                  .finish());
  EXPECT_EQ(link, "l");
  EXPECT_EQ(other, "default");
  EXPECT_EQ(after, std::chrono::milliseconds(250));
  EXPECT_EQ(bytes, 65536U);
  EXPECT_EQ(count, 5U);
}

TEST(Settings, name_the_key_that_is_wrong_and_the_nearest_known_one) {
  std::string link;
  std::uint64_t count = 0;
  std::chrono::nanoseconds after{};
  const auto problem = [&](const Json& config) {
    const auto read = Settings(config)
                          .text("link", link)
                          .required("link")
                          .count("count", count, 1, 3)
                          .duration("after", after)
                          .finish();
    return read ? std::string() : read.error().context;
  };
  EXPECT_EQ(problem(Json::object()), "config key \"link\" is missing");
  EXPECT_EQ(problem({{"link", 1}}), "config key \"link\" is no string");
  EXPECT_EQ(problem({{"link", "a"}, {"count", 4}}),
            "config key \"count\" is no whole number from 1 to 3");
  EXPECT_NE(problem({{"link", "a"}, {"after", 5}}).find("250ms"), std::string::npos);
  EXPECT_EQ(problem({{"link", "a"}, {"coutn", 2}}),
            "config key \"coutn\" is unknown (did you mean \"count\"?)");
  EXPECT_EQ(problem(Json::array()), "the config is no object");
}

}  // namespace
}  // namespace bulkhead::workers
