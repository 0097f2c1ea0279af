// Which of the instructions in LLVM's tables the emulator knows, and which of those a test runs, by encoding.
#include <cstdio>
#include <map>
#include <set>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "emulator/arena.h"
#include "emulator/op.h"
#include "emulator/opcode_space.h"
#include "emulator/program.h"
#include "tests/emulator/matrix_cases.h"
#include "tests/emulator/state_cases.h"
#include "tests/emulator/vector_cases.h"

namespace wavetile::emu::testing {
namespace {

using Opcodes =
    std::map<std::string, std::map<std::string, std::vector<std::byte>>>;  // by class and mnemonic: an example

// Notes what is in a piece of code, up to its s_endpgm.
void note(const Chip& chip, const Decoder& decoder, const std::vector<std::byte>& code, Opcodes& opcodes) {
  for (std::size_t at = 0; at < code.size();) {
    const auto in = decoder.decode(std::span(code).subspan(at), at);
    if (!in) return;
    const std::vector<std::byte> bytes(code.begin() + static_cast<std::ptrdiff_t>(at),
                                       code.begin() + static_cast<std::ptrdiff_t>(at + in->bytes));
    opcodes[opcode_class(chip, *in)].try_emplace(in->mnemonic, bytes);
    if (in->second) opcodes["VOPD Y"].try_emplace(in->second->mnemonic, bytes);
    at += in->bytes;
    if (in->mnemonic == "s_endpgm") return;
  }
}

Opcodes tested(const Chip& chip, int lanes) {
  Opcodes opcodes;
  const Decoder decoder(chip, lanes);
  for (const std::string& file : data_files("vector_")) {
    for (const Block& block : read_blocks(file)) {
      for (const std::string& mnemonic : block.mnemonics) {
        for (const Ready& r : expand(block, mnemonic, chip, lanes)) note(chip, decoder, r.code, opcodes);
      }
    }
  }
  for (const int size : std::set<int>{lanes, 64}) {
    const Decoder of_size(chip, size);
    std::vector<std::string> texts;
    if (size == lanes) texts = matrix_texts(chip);
    for (const std::string& file : data_files("state_")) {
      for (const StateLine& line : read_state_lines(file)) {
        if (line.fits(chip, size)) texts.push_back(experiment(line, chip, size).text);
      }
    }
    for (const auto& code : assemble_all(chip, size, texts)) note(chip, of_size, code, opcodes);
  }
  return opcodes;
}

bool supported(const Chip& chip, int lanes, const Decoder& decoder, const std::vector<std::byte>& bytes) {
  Arena arena;
  const auto in = decoder.decode(bytes, 0);
  return in && is_supported(bind(*in, {chip, lanes, first_spare_row(chip), arena}));
}

struct Coverage {
  std::size_t known = 0, good = 0;
  double share() const { return static_cast<double>(good) / static_cast<double>(known); }
};

Coverage print(const Chip& chip, int lanes) {
  const Decoder decoder(chip, lanes);
  const Opcodes runs = tested(chip, lanes);
  Coverage all;
  std::string missing;
  fmt::print("{} (wave{}): instructions in LLVM's tables, supported, supported and tested\n", chip.name, lanes);
  for (const OpcodeClass& c : opcode_space(chip, lanes)) {
    std::size_t bound = 0, good = 0;
    const auto of_class = runs.find(c.name);
    std::string unsupported, untested;
    for (const auto& [mnemonic, bytes] : c.mnemonics) {
      const bool is_tested = of_class != runs.end() && of_class->second.contains(mnemonic);
      // What is tested has operands that make sense.
      const bool is_bound = supported(chip, lanes, decoder, is_tested ? of_class->second.at(mnemonic) : bytes);
      bound += is_bound;
      good += is_bound && is_tested;
      if (!is_bound) {
        unsupported += " " + mnemonic;
      } else if (!is_tested) {
        untested += " " + mnemonic;
      }
    }
    all.known += c.mnemonics.size();
    all.good += good;
    fmt::print("  {:<12} {:5} {:5} {:5}\n", c.name, c.mnemonics.size(), bound, good);
    if (!unsupported.empty()) missing += fmt::format("  {}: not supported:{}\n", c.name, unsupported);
    if (!untested.empty()) missing += fmt::format("  {}: not tested:{}\n", c.name, untested);
  }
  fmt::print("  {:<12} {:5}       {:5}  {:.1f}%\n{}", "all", all.known, all.good, 100 * all.share(), missing);
  std::fflush(stdout);
  return all;
}

TEST(Coverage, MostComputeInstructionsOfGfx1151AreSupportedAndTested) {
  EXPECT_GE(print(*find_chip("gfx1151"), 32).share(), 0.95);
}
TEST(Coverage, MostComputeInstructionsOfGfx1100AreSupportedAndTested) {
  EXPECT_GE(print(*find_chip("gfx1100"), 32).share(), 0.95);
}
TEST(Coverage, MostComputeInstructionsOfGfx942AreSupportedAndTested) {
  EXPECT_GE(print(*find_chip("gfx942"), 64).share(), 0.95);
}

}  // namespace
}  // namespace wavetile::emu::testing
