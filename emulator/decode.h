// Machine code as LLVM's disassembler reads it, in plain data. The only files here that see LLVM are decode.cpp,
// assemble.cpp and lines.cpp.
//
// An instruction is known by what LLVM prints: the mnemonic, its operands and its modifiers, because the headers with
// the numbers of AMDGPU's opcodes, registers and operand kinds are private to LLVM, while its assembly is documented
// and kept stable. What instructions read and write, implicitly too, comes from LLVM's tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/chip.h"

namespace wavetile::emu {

enum class File : std::uint8_t {
  none,
  vgpr,  // v0..v255
  agpr,  // a0..a255
  sgpr,  // s0..s105 and the named ones, by the numbers below
  scc,
  mode,
};

// Numbers of the named scalar registers, the same for every chip (not those of any encoding).
enum : std::uint16_t {
  kFlatScratch = 102,  // .. 103 (CDNA)
  kXnackMask = 104,    // .. 105 (CDNA)
  kVcc = 106,          // .. 107
  kTtmp0 = 108,        // .. 123
  kM0 = 124,
  kNull = 125,  // reads 0, takes what is written
  kExec = 126,  // .. 127
  kScalars = 128,
};

enum class Half : std::uint8_t { whole, low, high };  // v0, v0.l, v0.h

struct RegisterRange {
  File file = File::none;
  std::uint16_t first = 0;
  std::uint8_t count = 0;  // dwords
  Half half = Half::whole;
  bool operator==(const RegisterRange&) const = default;
};

/// One operand as printed.
struct Operand {
  enum class Kind : std::uint8_t {
    registers,  // v0, v[0:3], s2, vcc_lo, exec, null, m0, a[0:15], v1.h
    integer,    // an inline integer constant: 5, -16 (decimal in the text), or a count
    literal,    // 0x40490fdb: the bits that follow the instruction
    real,       // an inline float: 1.0, -0.5, 0.15915494; its bits depend on the operand's type
    word,       // anything else: off, src_shared_base, hwreg(HW_REG_MODE, 0, 4), sendmsg(...), a branch's distance
  };
  Kind kind = Kind::word;
  RegisterRange registers;
  bool negate = false, absolute = false, sign_extend = false;
  std::int64_t integer = 0;  // of integer and literal
  double real = 0;
  std::string text;  // as printed, without the modifiers above
};

/// What follows the operands: "offset:16", "glc", "op_sel:[0,1]", "row_shl:1", "dst_sel:WORD_1", "clamp".
struct Modifier {
  std::string name;
  std::vector<std::int64_t> values;  // {1} for a flag
  std::string word;                  // of values that are words: "WORD_1"
};

enum class Encoding : std::uint8_t { other, e32, e64, dpp16, dpp8, sdwa };

struct Instruction {
  std::uint64_t address = 0;
  std::uint8_t bytes = 4;
  std::vector<std::uint8_t> raw;
  std::string opcode;    // LLVM's own name: "V_ADD_F32_e32_gfx11"
  std::string mnemonic;  // "v_add_f32": what is printed, without _e32, _e64, _e64_dpp, _dpp, _sdwa
  Encoding encoding = Encoding::other;
  std::string text;               // the whole line as printed, one space between words
  std::vector<Operand> operands;  // in the printed order: destinations first
  std::vector<Modifier> modifiers;
  std::vector<RegisterRange> reads, writes;  // all of them, implicit ones too (exec: only where it is an operand)
  std::unique_ptr<Instruction> second;       // of "v_dual_x … :: v_dual_y …": this is x, that is y
  bool branch = false;                       // its last operand is a distance; target is set
  std::uint64_t target = 0;

  const Modifier* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }
  std::int64_t value(std::string_view name, std::int64_t otherwise = 0) const;
};

/// Decodes for one chip and wave size. Not thread-safe: one a thread, or behind a lock.
class Decoder {
 public:
  Decoder(const Chip& chip, int lanes);
  ~Decoder();
  /// The instruction at the front of `code`, which lies at `address`. Empty when LLVM does not know it.
  std::optional<Instruction> decode(std::span<const std::byte> code, std::uint64_t address) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Text as of LLVM's assembler -> machine code, for tests and tools. Throws std::invalid_argument with LLVM's words.
std::vector<std::byte> assemble(const Chip& chip, int lanes, std::string_view text);

struct SourceLine {
  std::string file;
  int line = 0;
};

/// The line table of a code object's file (DWARF). Addresses are the file's. Empty answers where it has none.
/// Thread-safe.
class Lines {
 public:
  explicit Lines(std::span<const std::byte> file);
  ~Lines();
  std::optional<SourceLine> find(std::uint64_t address) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace wavetile::emu
