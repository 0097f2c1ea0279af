// Global, flat and scratch instructions: how their addresses are made, and what they do there.
//
//   global   SGPR pair + VGPR (unsigned) + offset, or VGPR pair + offset
//   flat     VGPR pair + offset: LDS and scratch behind their apertures, else global
//   scratch  SGPR + VGPR + offset, all of them optional: bytes in the lane's own scratch
#include <fmt/format.h>

#include "emulator/ops/atomics.h"
#include "emulator/ops/memory.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

std::uint64_t scalar_base(const Wave& w, const Source& s) {
  return s.kind == Source::Kind::scalar && s.reg != kNull ? w.scalar64(s.reg) : 0;
}

void locate_pair(const Wave& w, const Op& op, std::uint64_t* address) {
  const std::uint32_t* const low = w.row(op.src[kVaddr].reg);
  const std::uint32_t* const high = w.row(op.src[kVaddr].reg + 1);
  const auto offset = static_cast<std::uint64_t>(op.imm);
  const int lanes = w.lanes;  // a copy, so that the loop is known not to change it
  for (int i = 0; i < lanes; ++i) address[i] = (low[i] | (std::uint64_t{high[i]} << 32)) + offset;
}

void locate_global(const Wave& w, const Op& op, std::uint64_t* address) {
  if (op.src[kSaddr].kind == Source::Kind::none) return locate_pair(w, op, address);
  const std::uint64_t base = scalar_base(w, op.src[kSaddr]) + static_cast<std::uint64_t>(op.imm);
  const std::uint32_t* const offset = w.row(op.src[kVaddr].reg);
  const int lanes = w.lanes;
  for (int i = 0; i < lanes; ++i) address[i] = base + offset[i];
}

void run_global(Wave& w, const Op& op) {
  alignas(64) std::uint64_t address[64];
  if (w.exec == 0) return;
  locate_global(w, op, address);
  move_of(op)(w, op, Space::global, w.exec, address);
}

// Consecutive dwords from a scalar address.
void run_global_addtid(Wave& w, const Op& op) {
  alignas(64) std::uint64_t address[64];
  if (w.exec == 0) return;
  const std::uint64_t base = scalar_base(w, op.src[kSaddr]) + static_cast<std::uint64_t>(op.imm);
  const int lanes = w.lanes;
  for (int i = 0; i < lanes; ++i) address[i] = base + 4 * static_cast<std::uint64_t>(i);
  move_of(op)(w, op, Space::global, w.exec, address);
}

void run_flat(Wave& w, const Op& op) {
  alignas(64) std::uint64_t address[64];
  if (w.exec == 0) return;
  locate_pair(w, op, address);
  std::uint64_t lds = 0, scratch = 0;
  for_lanes(w.exec, [&](int i) {
    const auto high = static_cast<std::uint32_t>(address[i] >> 32);
    lds |= std::uint64_t{high == kSharedApertureHigh} << i;
    scratch |= std::uint64_t{high == kPrivateApertureHigh} << i;
  });
  const Move move = move_of(op);
  if ((lds | scratch) == 0) return move(w, op, Space::global, w.exec, address);
  for_lanes(lds | scratch, [&](int i) { address[i] &= 0xffffffffu; });
  const std::uint64_t global = w.exec & ~(lds | scratch);
  if (lds != 0) move(w, op, Space::lds, lds, address);
  if (scratch != 0 && w.status != Status::faulted) move(w, op, Space::scratch, scratch, address);
  if (global != 0 && w.status != Status::faulted) move(w, op, Space::global, global, address);
}

void run_scratch(Wave& w, const Op& op) {
  alignas(64) std::uint64_t address[64];
  if (w.exec == 0) return;
  const Source& scalar = op.src[kSaddr];
  const std::uint64_t base =
      (scalar.kind == Source::Kind::scalar ? w.s[scalar.reg] : 0) + static_cast<std::uint64_t>(op.imm);
  const int lanes = w.lanes;
  if (op.src[kVaddr].kind == Source::Kind::vector) {
    const std::uint32_t* const offset = w.row(op.src[kVaddr].reg);
    for (int i = 0; i < lanes; ++i) address[i] = base + offset[i];
  } else {
    for (int i = 0; i < lanes; ++i) address[i] = base;
  }
  move_of(op)(w, op, Space::scratch, w.exec, address);
}

// global_load_lds_*: lane i's value goes to dword i of LDS from M0 + offset, widened to 32 bits.
template <int Bytes, bool Signed>
void move_to_lds(Wave& w, const Op& op, Space space, std::uint64_t mask, const std::uint64_t* address) {
  load_rows<Bytes, Signed, Half::whole>(w, op, space, mask, address, op.dst[0].reg);
  if (w.status == Status::faulted) return;
  alignas(64) std::uint64_t to[64];
  const std::uint64_t base = (w.s[kM0] & 0xffff) + static_cast<std::uint64_t>(op.imm);
  for (int i = 0; i < w.lanes; ++i) to[i] = base + 4 * static_cast<std::uint64_t>(i);
  store_rows<4, Half::whole>(w, op, Space::lds, mask, to, op.dst[0].reg);
}

// --- binding

bool is_off(const Instruction& in, std::size_t i) {
  return i < in.operands.size() && in.operands[i].kind == Operand::Kind::word && in.operands[i].text == "off";
}

Source optional_source(const Instruction& in, std::size_t i, Type type, const BindContext& c) {
  return is_off(in, i) ? Source{} : source(in, i, type, c);
}

void check_count(const Instruction& in, std::size_t count) {
  if (in.operands.size() != count) throw Unsupported(fmt::format("{} operands in '{}'", in.operands.size(), in.text));
}

enum class Kind { load, store, atomic };
enum class Way { global, flat, scratch };

void bind_common(const Instruction& in, Op& op) {
  expect_modifiers(in, {"offset", "glc", "slc", "dlc", "sc0", "sc1", "nt"});
  op.imm = in.value("offset");
  op.flags |= scope_flags(in);
}

// Operands: [destination] address [data] [scalar address, not of flat].
void bind_access(const Instruction& in, Op& op, const BindContext& c, Way way, Kind kind, int operands, int dwords) {
  bind_common(in, op);
  std::size_t at = 0;
  const std::size_t others = (way == Way::flat ? 1 : 2) + (kind == Kind::load ? 0 : 1);
  const bool returns = kind == Kind::load || (kind == Kind::atomic && in.operands.size() > others);
  check_count(in, others + (returns ? 1 : 0));
  if (returns) op.dst[0] = destination(in, at++, c);
  if (kind == Kind::atomic && returns) op.flags |= kReturns;
  op.src[kVaddr] = optional_source(in, at++, Type::b64, c);
  if (kind != Kind::load) op.src[kData] = source(in, at++, Type::b32, c);
  if (operands == 2) {  // one range of registers in the text
    op.src[kData].count = static_cast<std::uint8_t>(dwords);
    op.src[kData2] = op.src[kData];
    op.src[kData2].reg = static_cast<std::uint16_t>(op.src[kData].reg + dwords);
  }
  if (way != Way::flat) op.src[kSaddr] = optional_source(in, at, way == Way::global ? Type::b64 : Type::b32, c);
  op.run = way == Way::global ? run_global : way == Way::flat ? run_flat : run_scratch;
}

Entry moving(Class cls, Way way, Kind kind, Move move, std::uint32_t flags, int operands, int dwords) {
  return {cls, [=](const Instruction& in, Op& op, const BindContext& c) {
            set_move(op, move);
            op.flags = flags;
            bind_access(in, op, c, way, kind, operands, dwords);
          }};
}

Entry addtid(Move move, bool store) {
  return {Class::global, [=](const Instruction& in, Op& op, const BindContext& c) {
            set_move(op, move);
            bind_common(in, op);
            check_count(in, 2);
            if (store) op.src[kData] = source(in, 0, Type::b32, c);
            if (!store) op.dst[0] = destination(in, 0, c);
            op.src[kSaddr] = optional_source(in, 1, Type::b64, c);
            op.run = run_global_addtid;
          }};
}

Entry to_lds(Way way, Move move) {
  return {way == Way::global ? Class::global : Class::scratch,
          [=](const Instruction& in, Op& op, const BindContext& c) {
            set_move(op, move);
            bind_common(in, op);
            check_count(in, 2);
            op.dst[0].reg = static_cast<std::uint16_t>(c.spare);  // on the way
            op.src[kVaddr] = optional_source(in, 0, Type::b64, c);
            op.src[kSaddr] = optional_source(in, 1, way == Way::global ? Type::b64 : Type::b32, c);
            op.run = way == Way::global ? run_global : run_scratch;
          }};
}

}  // namespace

void add_global(Table& t) {
  struct Space3 {
    std::string_view prefix;
    Way way;
    Class cls;
  };
  for (const auto& [prefix, way, cls] :
       {Space3{"global_", Way::global, Class::global}, Space3{"flat_", Way::flat, Class::flat},
        Space3{"scratch_", Way::scratch, Class::scratch}}) {
    for (const Form& f : forms()) {
      const Entry entry = moving(cls, way, f.store ? Kind::store : Kind::load, f.move, 0, 1, 0);
      t.add(Family::rdna3, fmt::format("{}{}", prefix, f.rdna3), entry);
      t.add(Family::cdna3, fmt::format("{}{}", prefix, f.cdna3), entry);
    }
    if (way == Way::scratch) continue;
    for (std::size_t i = 0; i < atomics().size(); ++i) {
      const Atomic& a = atomics()[i];
      const Entry entry = moving(Class::atomic, way, Kind::atomic, move_atomic,
                                 static_cast<std::uint32_t>(i) << kAtomicShift, a.operands, a.bytes / 4);
      if (!a.rdna3.empty()) t.add(Family::rdna3, fmt::format("{}atomic_{}", prefix, a.rdna3), entry);
      if (!a.cdna3.empty()) t.add(Family::cdna3, fmt::format("{}atomic_{}", prefix, a.cdna3), entry);
    }
  }
  t.add(Family::rdna3, "global_load_addtid_b32", addtid(move_load<4, false, Half::whole>, false));
  t.add(Family::rdna3, "global_store_addtid_b32", addtid(move_store<4, Half::whole>, true));
  for (const auto& [prefix, way] :
       {std::pair<std::string_view, Way>{"global", Way::global}, {"scratch", Way::scratch}}) {
    t.add(Family::cdna3, fmt::format("{}_load_lds_ubyte", prefix), to_lds(way, move_to_lds<1, false>));
    t.add(Family::cdna3, fmt::format("{}_load_lds_sbyte", prefix), to_lds(way, move_to_lds<1, true>));
    t.add(Family::cdna3, fmt::format("{}_load_lds_ushort", prefix), to_lds(way, move_to_lds<2, false>));
    t.add(Family::cdna3, fmt::format("{}_load_lds_sshort", prefix), to_lds(way, move_to_lds<2, true>));
    t.add(Family::cdna3, fmt::format("{}_load_lds_dword", prefix), to_lds(way, move_to_lds<4, false>));
  }
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
