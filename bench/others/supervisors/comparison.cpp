#include "bench/others/supervisors/comparison.hpp"

#include <algorithm>
#include <utility>

namespace bulkhead::bench::others {
namespace {

struct Contestant {
  std::unique_ptr<Supervised> supervised;
  std::string version;
};

bool is_among(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Result<void> expect_known(const std::vector<std::string>& names,
                          const std::vector<Recipe>& recipes) {
  std::vector<std::string> known;
  std::string listed;
  for (auto recipe = recipes.begin() + 1; recipe != recipes.end(); ++recipe) {
    known.push_back(recipe->peer);
    listed += (listed.empty() ? "" : ", ") + recipe->peer;
  }
  for (const auto& name : names) {
    if (!is_among(known, name)) {
      const std::string unknown = "--without " + name;
      return make_error(Errc::invalid_argument, unknown + " (known: " + listed + ")");
    }
  }
  return {};
}

Result<std::vector<Contestant>> start_all(const std::vector<Recipe>& recipes,
                                          const Supervised::Surroundings& surroundings,
                                          const ComparisonOptions& options,
                                          std::vector<LeftOut>& left_out) {
  std::vector<Contestant> contestants;
  for (const Recipe& recipe : recipes) {
    if (is_among(options.without, recipe.peer)) {
      left_out.push_back({recipe.peer, "--without"});
    } else if (!recipe.package.empty() && find_program(recipe).empty()) {
      left_out.push_back({recipe.peer, "not installed: `tools/install-deps --others`"});
    } else {
      auto supervised = Supervised::start(recipe, surroundings);
      if (!supervised) return supervised.error();
      contestants.push_back({std::move(*supervised), package_version(recipe)});
    }
  }
  return contestants;
}

// Samples by contestant, of one way to be killed.
using Samples = std::vector<std::vector<double>>;

Result<void> kill_each(const std::vector<Contestant>& contestants, int round, Samples& settled_us,
                       Samples& young_us) {
  for (std::size_t turn = 0; turn < contestants.size(); ++turn) {
    const std::size_t i = (static_cast<std::size_t>(round) + turn) % contestants.size();
    for (const auto& [lived, samples] : {std::pair(settled, &settled_us), {young, &young_us}}) {
      const auto took_us = contestants[i].supervised->kill_child(lived);
      if (!took_us) return took_us.error();
      (*samples)[i].push_back(*took_us);
    }
  }
  return {};
}

void add_rows(const std::vector<Contestant>& contestants, std::chrono::milliseconds lived,
              const Samples& samples, std::vector<RecoveryRow>& rows) {
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    rows.push_back(recovery_row(contestants[i].supervised->peer(), contestants[i].version,
                                static_cast<int>(lived.count()), samples[i], samples[0]));
  }
}

}  // namespace

Result<Comparison> compare(const std::vector<Recipe>& recipes,
                           const Supervised::Surroundings& surroundings,
                           const ComparisonOptions& options) {
  if (auto known = expect_known(options.without, recipes); !known) return known.error();
  Comparison comparison;
  const auto contestants = start_all(recipes, surroundings, options, comparison.left_out);
  if (!contestants) return contestants.error();
  Samples settled_us(contestants->size()), young_us(contestants->size());
  for (int round = 1; round <= options.kills; ++round) {
    if (options.on_round) options.on_round(round);
    auto killed = kill_each(*contestants, round, settled_us, young_us);
    if (!killed) return killed.error();
  }
  add_rows(*contestants, settled, settled_us, comparison.rows);
  add_rows(*contestants, young, young_us, comparison.rows);
  return comparison;
}

}  // namespace bulkhead::bench::others
