// SMEM: loads of whole dwords into scalar registers, through the scalar cache. Addresses ignore their two low bits.
// The clocks count instructions that the wave executed, so that a run is the same every time.
#include <fmt/format.h>

#include "emulator/ops/memory.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

enum { kBase = 0, kOffset = 1 };

std::uint64_t offset_of(const Wave& w, const Op& op) {
  const Source& s = op.src[kOffset];
  return static_cast<std::uint64_t>(op.imm) + (s.kind == Source::Kind::scalar ? w.s[s.reg] : s.value);
}

// Reads `words` dwords from `at`, which is a multiple of 4. False: the wave is stopped.
bool read_dwords(Wave& w, const Op& op, std::uint64_t at, int words, std::uint32_t* to) {
  std::uint64_t address[64], room[64];
  address[0] = at;
  Access access = access_of(op, Space::constant, AccessKind::load, 1, address, static_cast<std::uint32_t>(4 * words));
  access.row = op.dst[0].reg;
  const Places host = enter(w, op, access, room);
  if (!host) return false;
  Monitor* const monitor = w.launch->monitor;
  if (monitor && monitor->stale()) {
    monitor->read(w, op, access, at, to, access.bytes);
  } else {
    for (int k = 0; k < words; ++k) to[k] = relaxed_load<std::uint32_t>(host[0] + 4 * static_cast<std::uint64_t>(k));
  }
  return true;
}

void write_dwords(Wave& w, int reg, int words, const std::uint32_t* from) {
  if (reg == kNull) return;
  for (int k = 0; k < words; ++k) w.set_scalar(reg + k, from[k]);
}

template <int Words>
void run_load(Wave& w, const Op& op) {
  std::uint32_t data[Words];
  const Source& base = op.src[kBase];
  const std::uint64_t at = (base.reg == kNull ? 0 : w.scalar64(base.reg)) + offset_of(w, op);
  if (read_dwords(w, op, at & ~std::uint64_t{3}, Words, data)) write_dwords(w, op.dst[0].reg, Words, data);
}

// A buffer resource's base, size and stride; every dword of its own is in range or reads 0.
template <int Words>
void run_buffer_load(Wave& w, const Op& op) {
  std::uint32_t data[Words] = {};
  const std::uint32_t* const resource = w.s.data() + op.src[kBase].reg;
  const std::uint64_t base = resource[0] | std::uint64_t{resource[1] & 0xffff} << 32;
  const std::uint64_t stride = resource[1] >> 16 & 0x3fff;
  const std::uint64_t size = std::uint64_t{resource[2]} * (stride == 0 ? 1 : stride);
  const std::uint64_t offset = offset_of(w, op) & ~std::uint64_t{3};
  int inside = 0;
  while (inside < Words && offset + 4 * static_cast<std::uint64_t>(inside) + 4 <= size) ++inside;
  if (inside > 0 && !read_dwords(w, op, (base & ~std::uint64_t{3}) + offset, inside, data)) return;
  write_dwords(w, op.dst[0].reg, Words, data);
}

// Operands: destination, base, then an offset: a register, an integer, or a register with "offset:".
Entry load(Run run) {
  return {Class::smem, [run](const Instruction& in, Op& op, const BindContext& c) {
            expect_modifiers(in, {"offset", "glc", "dlc"});
            if (in.operands.size() != 3)
              throw Unsupported(fmt::format("{} operands in '{}'", in.operands.size(), in.text));
            op.dst[0] = destination(in, 0, c);
            op.src[kBase] = source(in, 1, Type::b64, c);
            if (op.src[kBase].kind != Source::Kind::scalar) throw Unsupported(fmt::format("base in '{}'", in.text));
            op.src[kOffset] = source(in, 2, Type::i64, c);
            // Printed in hexadecimal with its sign; a register's 32 bits are unsigned.
            if (op.src[kOffset].kind == Source::Kind::constant) {
              op.src[kOffset].value = static_cast<std::uint64_t>(in.operands[2].integer);
            }
            op.imm = in.value("offset");
            op.flags = scope_flags(in);
            op.run = run;
          }};
}

void run_clock(Wave& w, const Op& op) { w.set_scalar64(op.dst[0].reg, w.executed); }

Entry clock() {
  return {Class::smem, [](const Instruction& in, Op& op, const BindContext& c) {
            expect_modifiers(in, {});
            op.dst[0] = destination(in, 0, c);
            op.run = run_clock;
          }};
}

// A hint: translates an address and gives nothing back.
Entry probe() {
  return {Class::smem, [](const Instruction&, Op& op, const BindContext&) { op.run = [](Wave&, const Op&) {}; }};
}

template <int Words>
void add_width(Table& t, std::string_view rdna3, std::string_view cdna3) {
  t.add(Family::rdna3, fmt::format("s_load_{}", rdna3), load(run_load<Words>));
  t.add(Family::cdna3, fmt::format("s_load_{}", cdna3), load(run_load<Words>));
  t.add(Family::rdna3, fmt::format("s_buffer_load_{}", rdna3), load(run_buffer_load<Words>));
  t.add(Family::cdna3, fmt::format("s_buffer_load_{}", cdna3), load(run_buffer_load<Words>));
}

}  // namespace

void add_scalar_memory(Table& t) {
  add_width<1>(t, "b32", "dword");
  add_width<2>(t, "b64", "dwordx2");
  add_width<4>(t, "b128", "dwordx4");
  add_width<8>(t, "b256", "dwordx8");
  add_width<16>(t, "b512", "dwordx16");
  t.add(Family::cdna3, "s_memtime", clock());
  t.add(Family::cdna3, "s_memrealtime", clock());
  t.add("s_atc_probe", probe());
  t.add("s_atc_probe_buffer", probe());
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
