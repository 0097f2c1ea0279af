// One run of a few instructions on a known state, and all that may be different afterwards. Everything else must be as
// before: every register of every lane, SCC, LDS, memory and scratch.
//
// Before the instructions, each word of the state holds a number of its own (see initial_word), unless told otherwise.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "emulator/chip.h"
#include "emulator/decode.h"

namespace wavetile::emu::testing {

enum class Space : std::uint8_t { vgpr, agpr, sgpr, scc, lds, memory, scratch };

/// A 32-bit word of the state. `index`: a register's number, or a dword of LDS, memory or a lane's scratch.
struct Place {
  Space space = Space::vgpr;
  int index = 0;
  int lane = 0;
};

/// Values that are addresses count from one of these.
enum class Base : std::uint8_t { none, memory, code };

struct Word {
  Place place;
  std::uint32_t value = 0;  // with a base: bytes from it
  Base base = Base::none;
  bool high = false;  // of an address: its upper half
};

struct Expected {
  enum class Kind : std::uint8_t { exact, nan, near, any };
  Place place;         // the first word; the others have the next indices
  int bits = 32;       // 16, 32, 64, 96 or 128
  bool upper = false;  // of 16: which half of the word
  std::array<std::uint32_t, 4> value{};
  Kind kind = Kind::exact;  // nan: any quiet NaN; any: whatever is there
  int exponent_bits = 8;    // of the float, for nan
  std::uint64_t ulps = 0;   // for near
  Base base = Base::none;
  bool high = false;
};

struct Experiment {
  const Chip* chip = nullptr;
  int lanes = 32;
  std::string text;   // of the assembler, s_endpgm apart
  std::string where;  // of the case, for messages
  std::vector<Word> before;
  std::vector<Expected> after;
  std::string fault;  // the kind of report that must end the run; empty: it reaches its end
};

inline constexpr int kMemoryWords = 1024, kLdsWords = 1024, kScratchWords = 16;  // the last: of a lane

/// What a word holds at first. EXEC is all lanes.
std::uint32_t initial_word(const Place& place);

/// The files of tests/emulator/instructions whose names begin so, sorted.
std::vector<std::string> data_files(const std::string& prefix);
/// Assembles every text, for one chip and wave size. Empty where LLVM refuses; `why`, when given, holds its words.
std::vector<std::vector<std::byte>> assemble_all(const Chip& chip, int lanes, const std::vector<std::string>& texts,
                                                 std::string* why = nullptr);
/// What is wrong, several lines; empty when all is as it must be. `code` is the experiment's, with s_endpgm at its end.
std::string run(const Experiment& experiment, const std::vector<std::byte>& code);

}  // namespace wavetile::emu::testing
