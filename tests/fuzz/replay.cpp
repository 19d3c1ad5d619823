// Runs a fuzz target without libFuzzer: every file of the folders that are named, then mutations of them.
//   TARGET CORPUS...        BULKHEAD_MUTATIONS (20000) and BULKHEAD_SEED as for every test
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "tests/fuzz/fuzz_target.hpp"
#include "tests/support/environment.hpp"

namespace {

using Input = std::vector<std::uint8_t>;

std::vector<Input> read_corpus(int argc, char** argv) {
  std::vector<std::filesystem::path> paths;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      if (entry.is_regular_file()) paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Input> corpus;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return corpus;
}

void mutate(Input& input, std::mt19937_64& random) {
  const auto place = [&] { return static_cast<std::ptrdiff_t>(random() % input.size()); };
  const auto byte = [&] { return static_cast<std::uint8_t>(random()); };
  for (auto changes = 1 + random() % 8; changes > 0; --changes) {
    const auto what = input.empty() ? 0 : random() % 6;
    switch (what) {
      case 0: input.insert(input.begin() + (input.empty() ? 0 : place()), byte()); break;
      case 1: input.erase(input.begin() + place()); break;
      case 2: input.resize(static_cast<std::size_t>(place())); break;
      case 3: input.insert(input.end(), input.begin(), input.begin() + place()); break;
      case 4:
        input[static_cast<std::size_t>(place())] ^= static_cast<std::uint8_t>(1U << random() % 8);
        break;
      default: input[static_cast<std::size_t>(place())] = byte();
    }
    if (input.size() > 8192) input.resize(8192);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto corpus = read_corpus(argc, argv);
  if (corpus.empty()) {
    std::fprintf(stderr, "%s: no input in the folders that were named\n", argv[0]);
    return 2;
  }
  for (const Input& input : corpus) LLVMFuzzerTestOneInput(input.data(), input.size());
  const auto seed = bulkhead::test::chosen("BULKHEAD_SEED", std::random_device{}());
  const auto mutations = bulkhead::test::chosen("BULKHEAD_MUTATIONS", 20000);
  std::printf("%zu inputs, %lu mutations of them with BULKHEAD_SEED=%lu\n", corpus.size(),
              static_cast<unsigned long>(mutations), static_cast<unsigned long>(seed));
  std::fflush(stdout);  // a crash must not take the seed with it
  std::mt19937_64 random(seed);
  for (std::uint64_t i = 0; i < mutations; ++i) {
    Input input = corpus[random() % corpus.size()];
    mutate(input, random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
}
