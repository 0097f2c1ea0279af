// Instruction -> Op: the table, operands, and what can be put around any vector instruction (DPP, SDWA, pairs).
#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <map>

#include <fmt/format.h>

#include "emulator/arena.h"
#include "emulator/op.h"
#include "emulator/program.h"

namespace wavetile::emu {

struct Table::State {
  std::map<std::string, Entry, std::less<>> both;
  std::map<std::pair<Family, std::string>, Entry, std::less<>> of_family;
};

Table::Table() : state_(std::make_shared<State>()) {}

void Table::add(std::string_view mnemonic, Entry entry) { state_->both[std::string(mnemonic)] = std::move(entry); }

void Table::add(Family family, std::string_view mnemonic, Entry entry) {
  state_->of_family[{family, std::string(mnemonic)}] = std::move(entry);
}

const Entry* Table::find(Family family, std::string_view mnemonic) const {
  const auto own = state_->of_family.find({family, std::string(mnemonic)});
  if (own != state_->of_family.end()) return &own->second;
  const auto found = state_->both.find(mnemonic);
  return found == state_->both.end() ? nullptr : &found->second;
}

std::vector<std::string> Table::mnemonics(Family family) const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : state_->both) names.push_back(name);
  for (const auto& [key, entry] : state_->of_family) {
    if (key.first == family && !state_->both.contains(key.second)) names.push_back(key.second);
  }
  return names;
}

#define WAVETILE_EMULATOR_FILL(LEVEL, table)                                                                          \
  LEVEL::add_scalar(table), LEVEL::add_control(table), LEVEL::add_scalar_memory(table), LEVEL::add_vector_f32(table), \
      LEVEL::add_vector_int(table), LEVEL::add_vector_f64(table), LEVEL::add_vector_f16(table),                       \
      LEVEL::add_packed(table), LEVEL::add_convert(table), LEVEL::add_compare(table), LEVEL::add_lanes(table),        \
      LEVEL::add_dot(table), LEVEL::add_matrix(table), LEVEL::add_lds(table), LEVEL::add_global(table),               \
      LEVEL::add_buffer(table)

const Table& Table::all() {
  static const Table kTable = [] {
    Table t;
#ifdef WAVETILE_EMULATOR_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
        __builtin_cpu_supports("bmi2")) {
      WAVETILE_EMULATOR_FILL(avx2, t);
      return t;
    }
#endif
    WAVETILE_EMULATOR_FILL(baseline, t);
    return t;
  }();
  return kTable;
}

std::string_view class_name(Class c) {
  static constexpr std::string_view kNames[kClasses] = {
      "salu",    "smem", "valu",   "trans",  "vopd",   "packed", "dot",     "matrix", "lds",  "global",
      "scratch", "flat", "buffer", "atomic", "branch", "wait",   "barrier", "cache",  "other"};
  return kNames[static_cast<int>(c)];
}

Dpp* make_dpp(Arena& arena) { return &arena.dpps.emplace_back(); }
Op* make_op(Arena& arena) { return &arena.ops.emplace_back(); }

// --- operands

namespace {

// The inline floats are +-0.5, 1, 2, 4 and 1/(2 pi), which every type rounds in its own way.
std::uint64_t real_bits(double value, Type type) {
  const bool inverse_two_pi = std::abs(value - 0.15915494) < 1e-6;
  switch (type) {
    case Type::f16:
    case Type::i16:
    case Type::b16: {
      if (inverse_two_pi) return 0x3118;
      const auto f = std::bit_cast<std::uint32_t>(static_cast<float>(value));
      return ((f >> 16) & 0x8000) | ((((f >> 23) & 0xff) - 127 + 15) << 10) | ((f >> 13) & 0x3ff);
    }
    case Type::bf16:
      return std::bit_cast<std::uint32_t>(inverse_two_pi ? 0.15915494f : static_cast<float>(value)) >> 16;
    case Type::f64:
    case Type::i64:
    case Type::b64:
      return inverse_two_pi ? 0x3fc45f306dc9c882 : std::bit_cast<std::uint64_t>(value);
    default:
      return inverse_two_pi ? 0x3e22f983 : std::bit_cast<std::uint32_t>(static_cast<float>(value));
  }
}

std::uint64_t literal_bits(std::int64_t value, Type type) {
  // A literal has 32 bits: the upper half of an f64, sign-extended for a signed integer.
  if (type == Type::f64) return static_cast<std::uint64_t>(value) << 32;
  if (type == Type::i64 && value >> 32 == 0)
    return static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(value)});
  return static_cast<std::uint64_t>(value);
}

int width_of(Type type) {
  switch (type) {
    case Type::b64:
    case Type::i64:
    case Type::f64:
      return 2;
    case Type::b96:
      return 3;
    case Type::b128:
      return 4;
    default:
      return 1;
  }
}

[[noreturn]] void unsupported(const Instruction& in, const std::string& what) {
  throw Unsupported(fmt::format("{} in '{}'", what, in.text));
}

}  // namespace

Source source(const Instruction& in, std::size_t i, Type type, const BindContext&) {
  if (i >= in.operands.size()) unsupported(in, fmt::format("no operand {}", i));
  const Operand& o = in.operands[i];
  Source s;
  s.negate = o.negate;
  s.absolute = o.absolute;
  s.sign_extend = o.sign_extend;
  s.count = static_cast<std::uint8_t>(width_of(type));
  switch (o.kind) {
    case Operand::Kind::registers: {
      const RegisterRange& r = o.registers;
      if (r.file == File::scc) {
        s.kind = Source::Kind::scc;
      } else {
        s.kind = r.file == File::sgpr ? Source::Kind::scalar : Source::Kind::vector;
        s.reg = static_cast<std::uint16_t>(r.first + (r.file == File::agpr ? kVgprs : 0));
        s.count = r.count;
      }
      if (r.half != Half::whole) s.pick = r.half == Half::low ? Pick::low : Pick::high;
      return s;
    }
    case Operand::Kind::integer:
      s.kind = Source::Kind::constant;
      s.value = static_cast<std::uint64_t>(o.integer);
      return s;
    case Operand::Kind::literal:
      s.kind = Source::Kind::constant;
      s.value = literal_bits(o.integer, type);
      return s;
    case Operand::Kind::real:
      s.kind = Source::Kind::constant;
      s.value = real_bits(o.real, type);
      return s;
    case Operand::Kind::word:
      break;
  }
  s.kind = Source::Kind::constant;
  // The apertures are the upper halves; the limits end them.
  const std::uint64_t shared = std::uint64_t{kSharedApertureHigh} << 32,
                      scratch = std::uint64_t{kPrivateApertureHigh} << 32;
  if (o.text == "src_shared_base") {
    s.value = shared;
  } else if (o.text == "src_shared_limit") {
    s.value = shared | 0xffffffff;
  } else if (o.text == "src_private_base") {
    s.value = scratch;
  } else if (o.text == "src_private_limit") {
    s.value = scratch | 0xffffffff;
  } else if (o.text == "src_scc") {
    s.kind = Source::Kind::scc;
  } else {
    unsupported(in, fmt::format("operand '{}'", o.text));
  }
  return s;
}

Destination destination(const Instruction& in, std::size_t i, const BindContext&) {
  if (i >= in.operands.size() || in.operands[i].kind != Operand::Kind::registers) {
    unsupported(in, fmt::format("operand {} is no destination", i));
  }
  const RegisterRange& r = in.operands[i].registers;
  Destination d;
  d.kind = r.file == File::sgpr ? Destination::Kind::scalar : Destination::Kind::vector;
  d.reg = static_cast<std::uint16_t>(r.first + (r.file == File::agpr ? kVgprs : 0));
  d.count = r.count;
  if (r.half != Half::whole) d.pick = r.half == Half::low ? Pick::low : Pick::high;
  return d;
}

void expect_modifiers(const Instruction& in, std::initializer_list<std::string_view> known) {
  // DPP's and SDWA's own are taken by bind().
  static constexpr std::string_view kDpp[] = {
      "quad_perm", "row_shl",   "row_shr",    "row_ror",  "row_mirror", "row_half_mirror", "row_bcast",
      "wave_shl",  "wave_shr",  "wave_rol",   "wave_ror", "row_share",  "row_xmask",       "row_newbcast",
      "row_mask",  "bank_mask", "bound_ctrl", "fi",       "dpp8"};
  static constexpr std::string_view kSdwa[] = {"src0_sel", "src1_sel", "dst_sel", "dst_unused"};
  for (const Modifier& m : in.modifiers) {
    if (std::ranges::find(known, m.name) != known.end()) continue;
    if ((in.encoding == Encoding::dpp16 || in.encoding == Encoding::dpp8) &&
        std::ranges::find(kDpp, m.name) != std::end(kDpp))
      continue;
    if (in.encoding == Encoding::sdwa && std::ranges::find(kSdwa, m.name) != std::end(kSdwa)) continue;
    unsupported(in, fmt::format("modifier '{}'", m.name));
  }
}

void bind_vector(const Instruction& in, Op& op, const BindContext& c, Run run, std::span<const Type> types) {
  expect_modifiers(in, {"clamp", "mul", "div", "op_sel"});
  const std::size_t printed = in.operands.empty() ? 0 : in.operands.size() - 1;
  if (printed != types.size() && printed + 1 != types.size()) {
    unsupported(in, fmt::format("{} operands where {} were expected", printed + 1, types.size() + 1));
  }
  op.run = run;
  op.clamp = in.has("clamp");
  const auto factor = in.value("mul", 1);
  op.omod = in.value("div", 1) == 2 ? 3 : factor == 2 ? 1 : factor == 4 ? 2 : 0;
  op.dst[0] = destination(in, 0, c);
  for (std::size_t i = 0; i < printed; ++i) op.src[i] = source(in, i + 1, types[i], c);
  op.sources = static_cast<std::uint8_t>(types.size());
  if (const Modifier* select = in.find("op_sel")) {
    // Where halves are printed as v0.l and v0.h, they say the same.
    for (std::size_t i = 0; i < select->values.size(); ++i) {
      if (select->values[i] == 0) continue;
      if (i == printed) {
        op.dst[0].pick = Pick::high;
      } else if (i < printed && op.src[i].kind != Source::Kind::constant) {
        op.src[i].pick = Pick::high;
      }
    }
  }
  if (printed + 1 == types.size()) {
    Source& old = op.src[printed];
    old.kind = Source::Kind::vector;
    old.reg = op.dst[0].reg;
    old.count = op.dst[0].count;
    old.pick = op.dst[0].pick;
  }
}

// --- DPP

namespace {

// The lane that lane `i` reads; -1: none.
int dpp_lane(const Modifier& m, int i, int lanes) {
  const int row = i & ~15, at = i & 15, n = m.values.empty() ? 0 : static_cast<int>(m.values[0]);
  if (m.name == "quad_perm") return (i & ~3) + static_cast<int>(m.values.at(i & 3));
  if (m.name == "dpp8") return (i & ~7) + static_cast<int>(m.values.at(i & 7));
  if (m.name == "row_shl") return at + n < 16 ? i + n : -1;
  if (m.name == "row_shr") return at >= n ? i - n : -1;
  if (m.name == "row_ror") return row + ((at - n) & 15);
  if (m.name == "row_mirror") return row + 15 - at;
  if (m.name == "row_half_mirror") return (i & ~7) + 7 - (i & 7);
  if (m.name == "row_share" || m.name == "row_newbcast") return row + n;
  if (m.name == "row_xmask") return row + (at ^ n);
  if (m.name == "row_bcast") return n == 15 ? row - 1 : i >= 32 ? 31 : -1;
  if (m.name == "wave_shl") return i + 1 < lanes ? i + 1 : -1;
  if (m.name == "wave_shr") return i - 1;
  if (m.name == "wave_rol") return (i + 1) % lanes;
  if (m.name == "wave_ror") return (i + lanes - 1) % lanes;
  return -2;
}

void run_dpp(Wave& w, const Op& op) {
  const Dpp& dpp = *op.dpp;
  const Op& inner = *op.second;
  const std::uint64_t exec = w.exec;
  std::uint64_t written = 0;
  std::uint64_t has_source = 0;
  for (int i = 0; i < w.lanes; ++i) {
    const int from = dpp.from[i];
    const bool good = from >= 0 && (dpp.fetch_inactive || (exec >> from & 1) != 0);
    has_source |= std::uint64_t{good} << i;
    written |= std::uint64_t{good || dpp.bound_ctrl} << i;
  }
  for (int k = 0; k < op.src[0].count; ++k) {
    const std::uint32_t* row = w.row(op.src[0].reg + k);
    std::uint32_t* to = w.row(inner.src[0].reg + k);
    for (int i = 0; i < w.lanes; ++i) to[i] = (has_source >> i) & 1 ? row[dpp.from[i]] : 0;
  }
  const bool writes_exec = inner.dst[0].kind == Destination::Kind::scalar && inner.dst[0].reg >= kExec;
  w.exec = exec & written & dpp.enabled;
  inner.run(w, inner);
  if (!writes_exec) w.exec = exec;
}

void wrap_dpp(const Instruction& in, Op& op, const BindContext& c) {
  if (op.src[0].kind != Source::Kind::vector) unsupported(in, "DPP without a vector register as the first source");
  Dpp& dpp = *make_dpp(c.arena);
  bool found = false;
  for (const Modifier& m : in.modifiers) {
    if (dpp_lane(m, 0, c.lanes) == -2) continue;
    found = true;
    for (int i = 0; i < c.lanes; ++i) dpp.from[i] = static_cast<std::int8_t>(dpp_lane(m, i, c.lanes));
  }
  if (!found) unsupported(in, "an unknown DPP control");
  const auto rows = in.value("row_mask", 15), banks = in.value("bank_mask", 15);
  for (int i = 0; i < c.lanes; ++i) {
    const bool on = (rows >> (i / 16) & 1) != 0 && (banks >> (i / 4 % 4) & 1) != 0;
    dpp.enabled |= std::uint64_t{on} << i;
  }
  // LLVM prints the bit of DPP16 as bound_ctrl:1. DPP8 has none, and its lanes never leave their group.
  dpp.bound_ctrl = in.encoding == Encoding::dpp8 || in.has("bound_ctrl");
  dpp.fetch_inactive = in.value("fi", 0) != 0;
  Op* inner = make_op(c.arena);
  *inner = op;
  inner->src[0].reg = static_cast<std::uint16_t>(c.spare);
  op.run = run_dpp;
  op.second = inner;
  op.dpp = &dpp;
}

// --- SDWA

Pick pick_of(const Instruction& in, const Modifier& m) {
  static constexpr std::pair<std::string_view, Pick> kPicks[] = {
      {"DWORD", Pick::whole},  {"WORD_0", Pick::low},   {"WORD_1", Pick::high}, {"BYTE_0", Pick::byte0},
      {"BYTE_1", Pick::byte1}, {"BYTE_2", Pick::byte2}, {"BYTE_3", Pick::byte3}};
  for (const auto& [name, pick] : kPicks) {
    if (m.word == name) return pick;
  }
  unsupported(in, fmt::format("{}:{}", m.name, m.word));
}

void run_sdwa(Wave& w, const Op& op) {
  const Op& inner = *op.second;
  inner.run(w, inner);
  const std::uint32_t* from = w.row(inner.dst[0].reg);
  std::uint32_t* to = w.row(op.dst[0].reg);
  const bool byte = op.dst_pick >= Pick::byte0;
  const int shift = byte                        ? 8 * (static_cast<int>(op.dst_pick) - static_cast<int>(Pick::byte0))
                    : op.dst_pick == Pick::high ? 16
                                                : 0;
  const std::uint32_t field = byte ? 0xff : 0xffff;
  for (int i = 0; i < w.lanes; ++i) {
    if ((w.exec >> i & 1) == 0) continue;
    const std::uint32_t value = (from[i] & field) << shift;
    std::uint32_t rest = 0;
    if (op.dst_unused == 2) rest = to[i] & ~(field << shift);
    // The sign goes upwards; below the field are zeros.
    if (op.dst_unused == 1 && (from[i] & ((field >> 1) + 1)) != 0) {
      rest = static_cast<std::uint32_t>(~((std::uint64_t{1} << (shift + (byte ? 8 : 16))) - 1));
    }
    to[i] = value | rest;
  }
}

void wrap_sdwa(const Instruction& in, Op& op, const BindContext& c) {
  if (const Modifier* m = in.find("src0_sel")) op.src[0].pick = pick_of(in, *m);
  if (const Modifier* m = in.find("src1_sel")) op.src[1].pick = pick_of(in, *m);
  const Modifier* to = in.find("dst_sel");
  if (!to || pick_of(in, *to) == Pick::whole) return;
  const Modifier* unused = in.find("dst_unused");
  op.dst_pick = pick_of(in, *to);
  op.dst_unused = !unused || unused->word == "UNUSED_PAD" ? 0 : unused->word == "UNUSED_SEXT" ? 1 : 2;
  Op* inner = make_op(c.arena);
  *inner = op;
  inner->dst[0].reg = static_cast<std::uint16_t>(c.spare + 2);
  inner->dst[0].pick = Pick::whole;
  op.run = run_sdwa;
  op.second = inner;
}

// --- pairs

// Both halves read before either writes: whose result the other one reads, comes last. Where each reads the other's,
// the row that x writes is put aside for y.
void run_pair(Wave& w, const Op& op) {
  const Op& y = *op.second;
  const Op& x = *y.second;
  x.run(w, x);
  y.run(w, y);
}
void run_pair_backwards(Wave& w, const Op& op) {
  const Op& y = *op.second;
  const Op& x = *y.second;
  y.run(w, y);
  x.run(w, x);
}
void run_pair_crossed(Wave& w, const Op& op) {
  std::memcpy(w.row(static_cast<int>(op.imm2)), w.row(static_cast<int>(op.imm)), 4 * static_cast<std::size_t>(w.lanes));
  run_pair(w, op);
}

bool reads(const Op& op, int row) {
  return std::ranges::any_of(op.src, [&](const Source& s) { return s.kind == Source::Kind::vector && s.reg == row; });
}

bool is_plain(const Op& op) {
  auto plain = [](const Source& s) {
    return (s.kind == Source::Kind::vector || s.kind == Source::Kind::scalar || s.kind == Source::Kind::constant) &&
           !s.negate && !s.absolute && !s.sign_extend && s.pick == Pick::whole;
  };
  return op.omod == 0 && !op.clamp && op.dst[0].pick == Pick::whole && std::all_of(op.src, op.src + op.sources, plain);
}

Op bind_one(const Instruction& in, const BindContext& c) {
  const Entry* entry = Table::all().find(c.chip.family, in.mnemonic);
  if (!entry) throw Unsupported(fmt::format("'{}' is not emulated", in.text));
  Op op;
  op.cls = static_cast<std::uint8_t>(entry->cls);
  op.dwords = static_cast<std::uint8_t>(in.bytes / 4);
  op.instruction = &in;
  entry->bind(in, op, c);
  op.plain = in.encoding != Encoding::sdwa && is_plain(op);
  if (in.encoding == Encoding::dpp16 || in.encoding == Encoding::dpp8) wrap_dpp(in, op, c);
  if (in.encoding == Encoding::sdwa) wrap_sdwa(in, op, c);
  return op;
}

Op bind_pair(const Instruction& in, const BindContext& c) {
  Op* x = make_op(c.arena);
  Op* y = make_op(c.arena);
  *x = bind_one(in, c);
  *y = bind_one(*in.second, c);
  Op op = *x;
  op.cls = static_cast<std::uint8_t>(Class::vopd);
  op.run = run_pair;
  if (const int row = x->dst[0].reg; reads(*y, row)) {
    op.run = run_pair_backwards;
    if (reads(*x, y->dst[0].reg)) {
      op.run = run_pair_crossed;
      op.imm = row;
      op.imm2 = c.spare + 3;
      for (Source& s : y->src) {
        if (s.kind == Source::Kind::vector && s.reg == row) s.reg = static_cast<std::uint16_t>(op.imm2);
      }
    }
  }
  y->second = x;
  op.second = y;
  return op;
}

void run_unsupported(Wave& w, const Op& op) {
  std::string bytes;
  for (std::uint8_t b : op.instruction->raw) bytes += fmt::format("{:02x} ", b);
  const auto& why = *std::bit_cast<const std::string*>(static_cast<std::uintptr_t>(op.imm));
  fault(w, op, "unknown-instruction",
        fmt::format("an instruction that the emulator does not know: {} (bytes {})", why, bytes));
}

}  // namespace

Op bind(const Instruction& in, const BindContext& c) {
  Op op;
  try {
    return in.second ? bind_pair(in, c) : bind_one(in, c);
  } catch (const Unsupported& e) {
    std::string& why = c.arena.why[&in];
    why = e.what();
    op.imm = static_cast<std::int64_t>(std::bit_cast<std::uintptr_t>(&why));
  }
  op.run = run_unsupported;
  op.dwords = static_cast<std::uint8_t>(in.bytes / 4);
  op.cls = static_cast<std::uint8_t>(Class::other);
  op.instruction = &in;
  return op;
}

bool is_supported(const Op& op) { return op.run != run_unsupported; }

}  // namespace wavetile::emu
