// What the names of instructions say about their operands: LLVM's tables tell which registers are read, not which of
// their bits, nor whether they are only moved.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "emulator/decode.h"

namespace wavetile::emu::checks {

inline constexpr std::uint32_t kAll = 0xffffffffu, kLow = 0xffff, kHigh = 0xffff0000u;

bool has(std::string_view text, std::string_view part);
bool starts(std::string_view text, std::initializer_list<std::string_view> with);
/// "v_dual_mov_b32" does what "v_mov_b32" does.
std::string base_name(const Instruction& in);

struct TypeName {
  int bits = 32;
  bool known = false;
};
/// The first and the last of the types in a name: what the result is, and what the operands are.
std::pair<TypeName, TypeName> types_in(std::string_view name);

/// The bits that source i (destinations not counted) of an instruction that computes gives, by its type.
std::uint32_t source_bits(const Instruction& in, std::string_view name, std::size_t i);
/// The half or byte that SDWA, op_sel or the operand's own name picks; `bits` where none does.
std::uint32_t picked(const Instruction& in, const Operand& o, std::size_t i, std::uint32_t bits);

/// An instruction that passes undefined bits on: the sources that it moves, and of which more ones make less.
struct Vary {
  std::string_view name;  // up to the type
  std::vector<int> data, falling;
  bool linear = false;
};
/// nullptr for what is none.
const Vary* find_vary(std::string_view name);
/// Sums and products: what is undefined makes undefined what lies above it, and nothing below.
bool carries(std::string_view name);
/// The bits of a shift's amount, or of another source that is not moved, that count.
std::uint32_t control_bits(std::string_view name, std::size_t i, std::uint32_t bits);

}  // namespace wavetile::emu::checks
