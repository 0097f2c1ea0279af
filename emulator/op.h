// The executable form of an instruction: a function and its operands, ready to run.
//
// bind() makes it from the decoded Instruction by looking its mnemonic up in the tables that the files in ops/
// register. A mnemonic with no entry, or a modifier that its entry does not take, gives an op that stops the wave.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/decode.h"
#include "emulator/wave.h"

namespace wavetile::emu {

struct Op;
using Run = void (*)(Wave&, const Op&);

/// What a value operand is read as.
enum class Type : std::uint8_t { none, b16, b32, b64, b96, b128, f16, bf16, f32, f64, i16, i32, i64, mask };

enum class Pick : std::uint8_t { whole, low, high, byte0, byte1, byte2, byte3 };  // true16, op_sel and SDWA

struct Source {
  enum class Kind : std::uint8_t { none, vector, scalar, constant, scc };
  Kind kind = Kind::none;
  bool negate = false, absolute = false, sign_extend = false;
  Pick pick = Pick::whole;
  std::uint16_t reg = 0;    // a row (AGPRs count from kVgprs), or a scalar's number
  std::uint8_t count = 1;   // dwords
  std::uint64_t value = 0;  // of a constant: its bits in the operand's type
};

struct Destination {
  enum class Kind : std::uint8_t { none, vector, scalar };
  Kind kind = Kind::none;
  Pick pick = Pick::whole;
  std::uint16_t reg = 0;
  std::uint8_t count = 1;
};

/// Lanes that read others' values: the first source of a DPP instruction.
struct Dpp {
  std::int8_t from[64];         // the lane whose value lane i reads; -1: none (out of the row)
  std::uint64_t enabled = 0;    // by row_mask and bank_mask
  bool bound_ctrl = false;      // lanes without a source read 0; else they are not written
  bool fetch_inactive = false;  // also from lanes that are off (DPP8 and DPP16 of GFX10 and later)
};

struct Op {
  Run run = nullptr;
  std::uint8_t dwords = 1;
  std::uint8_t omod = 0;  // 0, 1: *2, 2: *4, 3: /2
  bool clamp = false;
  bool plain = false;           // sources are whole registers or constants without modifiers; so is the result
  Pick dst_pick = Pick::whole;  // of SDWA: what of the destination is written
  std::uint8_t dst_unused = 0;  // of SDWA: 0 pad with zeros, 1 sign-extend, 2 preserve
  std::uint8_t cls = 0;         // Class, for the counters
  std::uint8_t sources = 0;
  Destination dst[2];
  Source src[5];
  std::int64_t imm = 0;  // offset, simm16, a counter's value: what the entry's binder put here
  std::int64_t imm2 = 0;
  std::uint32_t flags = 0;  // bits of the entry's own
  const Dpp* dpp = nullptr;
  const Op* second = nullptr;  // of a dual instruction
  const Instruction* instruction = nullptr;
};

enum class Class : std::uint8_t {
  salu,
  smem,
  valu,
  trans,
  vopd,
  packed,
  dot,
  matrix,
  lds,
  global,
  scratch,
  flat,
  buffer,
  atomic,
  branch,
  wait,
  barrier,
  cache,
  other
};
std::string_view class_name(Class c);
inline constexpr int kClasses = static_cast<int>(Class::other) + 1;

/// Everything that outlives the op is kept here.
struct Arena;
Dpp* make_dpp(Arena& arena);
Op* make_op(Arena& arena);

struct BindContext {
  const Chip& chip;
  int lanes;
  int spare;  // the first of kSpareRows rows that no instruction names
  Arena& arena;
};

/// Thrown by binders for what an instruction has and the emulator does not do.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An entry of the table: how the operands of a mnemonic become an Op's.
struct Entry {
  Class cls = Class::other;
  std::function<void(const Instruction&, Op&, const BindContext&)> bind;  // fills run and the operands
};

/// Registered by the functions below, one a file of ops/. `mnemonic` is as in Instruction::mnemonic. Entries for one
/// family override those for both.
class Table {
 public:
  void add(std::string_view mnemonic, Entry entry);
  void add(Family family, std::string_view mnemonic, Entry entry);
  const Entry* find(Family family, std::string_view mnemonic) const;
  std::vector<std::string> mnemonics(Family family) const;
  static const Table& all();

 private:
  struct State;
  std::shared_ptr<State> state_;
  Table();
};

// One of each file of ops/, which has the same name; the files are compiled once a level.
#define WAVETILE_EMULATOR_OPS(LEVEL)                                                                          \
  namespace LEVEL {                                                                                           \
  void add_scalar(Table&);        /* SOP1, SOP2, SOPC, SOPK */                                                \
  void add_control(Table&);       /* SOPP: waits, barriers, branches, hints; getreg, setreg; cache control */ \
  void add_scalar_memory(Table&); /* SMEM */                                                                  \
  void add_vector_f32(Table&);    /* f32 arithmetic and the approximate functions */                          \
  void add_vector_int(Table&);    /* integers and bits of 16, 32 and 64 bits, moves, carries */               \
  void add_vector_f64(Table&);                                                                                \
  void add_vector_f16(Table&); /* f16 and bf16 */                                                             \
  void add_packed(Table&);     /* VOP3P's arithmetic */                                                       \
  void add_convert(Table&);                                                                                   \
  void add_compare(Table&); /* VOPC, cndmask, class */                                                        \
  void add_lanes(Table&);   /* readlane, writelane, permlane, swaps */                                        \
  void add_dot(Table&);                                                                                       \
  void add_matrix(Table&); /* WMMA, MFMA, SMFMAC, moves of accumulation registers */                          \
  void add_lds(Table&);                                                                                       \
  void add_global(Table&); /* global, flat, scratch */                                                        \
  void add_buffer(Table&);                                                                                    \
  }
WAVETILE_EMULATOR_OPS(baseline)
WAVETILE_EMULATOR_OPS(avx2)

/// The op of an instruction. Never throws: what cannot be bound becomes an op whose run is a fault.
Op bind(const Instruction& instruction, const BindContext& context);
/// False for the op of an instruction that the emulator does not know; the arena says why.
bool is_supported(const Op& op);

// --- helpers of binders

/// Operand `i` as a source of type `type`. Throws Unsupported for what is no value. The modifiers op_sel, src0_sel and
/// their like are applied by bind_vector, not here.
Source source(const Instruction& in, std::size_t i, Type type, const BindContext& c);
Destination destination(const Instruction& in, std::size_t i, const BindContext& c);
/// Binds a vector instruction: its first operand as the destination, the others as sources of `types`. When the
/// instruction prints one source less, the last is the old destination (v_fmac_f32). Takes the modifiers of VOP1, VOP2
/// and VOP3 (omod, clamp, op_sel of 16-bit operands); DPP and SDWA are put around the op by bind(), whatever it is.
void bind_vector(const Instruction& in, Op& op, const BindContext& c, Run run, std::span<const Type> types);
/// Refuses every modifier that is not in `known`, so that nothing is silently ignored.
void expect_modifiers(const Instruction& in, std::initializer_list<std::string_view> known);

}  // namespace wavetile::emu
