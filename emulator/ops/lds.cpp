// DS instructions: LDS, and exchanges between lanes that go through its hardware.
//
// An address is the VGPR plus the offset, in 32 bits. Loads and stores may have any alignment (the unaligned mode of
// the hardware, for which LLVM compiles); atomics need that of their size.
#include <fmt/format.h>

#include "emulator/ops/atomics.h"
#include "emulator/ops/memory.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

using U = std::uint32_t;

// `address` of every lane, the offset added.
void locate(const Wave& w, const Op& op, std::int64_t offset, std::uint64_t* address) {
  const U* const base = w.row(op.src[kVaddr].reg);
  const auto add = static_cast<U>(offset);
  const int lanes = w.lanes;
  for (int i = 0; i < lanes; ++i) address[i] = base[i] + add;
}

void run_lds(Wave& w, const Op& op) {
  alignas(64) std::uint64_t address[64];
  if (w.exec == 0) return;
  locate(w, op, op.imm, address);
  move_of(op)(w, op, Space::lds, w.exec, address);
}

// The lane's own dword of a row that begins at M0.
void run_addtid(Wave& w, const Op& op) {
  alignas(64) std::uint64_t address[64];
  if (w.exec == 0) return;
  const std::uint64_t base = (w.s[kM0] & 0xffff) + static_cast<std::uint64_t>(op.imm);
  for (int i = 0; i < w.lanes; ++i) address[i] = base + 4 * static_cast<std::uint64_t>(i);
  move_of(op)(w, op, Space::lds, w.exec, address);
}

// Two places a lane: at imm and at imm2. Both addresses are made before anything is written.
template <int Bytes>
void run_load2(Wave& w, const Op& op) {
  alignas(64) std::uint64_t first[64], second[64];
  if (w.exec == 0) return;
  locate(w, op, op.imm, first);
  locate(w, op, op.imm2, second);
  load_rows<Bytes, false, Half::whole>(w, op, Space::lds, w.exec, first, op.dst[0].reg);
  if (w.status == Status::faulted) return;
  load_rows<Bytes, false, Half::whole>(w, op, Space::lds, w.exec, second, op.dst[0].reg + Bytes / 4);
}

template <int Bytes>
void run_store2(Wave& w, const Op& op) {
  alignas(64) std::uint64_t first[64], second[64];
  if (w.exec == 0) return;
  locate(w, op, op.imm, first);
  locate(w, op, op.imm2, second);
  store_rows<Bytes, Half::whole>(w, op, Space::lds, w.exec, first, op.src[kData].reg);
  if (w.status == Status::faulted) return;
  store_rows<Bytes, Half::whole>(w, op, Space::lds, w.exec, second, op.src[kData2].reg);
}

// Both values are exchanged as if at once: the old ones wait in `old`, so that a destination may overlap the second
// operand.
template <int Bytes>
void run_exchange2(Wave& w, const Op& op) {
  alignas(64) std::uint64_t address[2][64];
  U old[2][Bytes / 4][64] = {};
  if (w.exec == 0) return;
  locate(w, op, op.imm, address[0]);
  locate(w, op, op.imm2, address[1]);
  for (int part = 0; part < 2; ++part) {
    std::uint64_t room[64];
    Access access = access_of(op, Space::lds, AccessKind::atomic, w.exec, address[part], Bytes);
    access.row = op.dst[0].reg + part * (Bytes / 4);
    const Places host = enter(w, op, access, room);
    if (!host) return;
    ++w.changes;
    for_lanes(access.mask, [&](int i) {
      for (int k = 0; k < Bytes / 4; ++k) {
        const std::uint64_t at = host[i] + 4 * static_cast<std::uint64_t>(k);
        old[part][k][i] = load_piece<4>(at);
        store_piece<4>(at, w.row(op.src[kData + part].reg + k)[i]);
      }
    });
  }
  for_lanes(w.exec, [&](int i) {
    for (int part = 0; part < 2; ++part) {
      for (int k = 0; k < Bytes / 4; ++k) w.row(op.dst[0].reg + part * (Bytes / 4) + k)[i] = old[part][k][i];
    }
  });
}

// ds_append, ds_consume: one counter for the whole wave, at M0 + offset, moved by the number of enabled lanes.
template <int Sign>
void run_count(Wave& w, const Op& op) {
  if (w.exec == 0) return;
  std::uint64_t address[64], room[64];
  const int lane = std::countr_zero(w.exec);
  address[lane] = (w.s[kM0] & 0xffff) + static_cast<std::uint64_t>(op.imm);
  Access access = access_of(op, Space::lds, AccessKind::atomic, std::uint64_t{1} << lane, address, 4);
  access.row = op.dst[0].reg;
  const Places host = enter(w, op, access, room);
  if (!host) return;
  U old = 0;
  if (access.mask != 0) {
    ++w.changes;
    old = load_piece<4>(host[lane]);
    store_piece<4>(host[lane], old + static_cast<U>(Sign * std::popcount(w.exec)));
  }
  U* const out = w.row(op.dst[0].reg);
  for_lanes(w.exec, [&](int i) { out[i] = old; });
}

// --- exchanges between lanes

// Lane i gets what lane from(i) has, or 0 when that lane is off.
template <class F>
void gather(Wave& w, const Op& op, F from) {
  const U* const in = w.row(op.src[kData].reg);
  U value[64];
  for (int i = 0; i < w.lanes; ++i) {
    const int lane = from(i);
    value[i] = (w.exec >> lane & 1) != 0 ? in[lane] : 0;
  }
  U* const out = w.row(op.dst[0].reg);
  for_lanes(w.exec, [&](int i) { out[i] = value[i]; });
}

// RDNA exchanges within 32 lanes, whatever the wave's size.
int exchange_lanes(const Wave& w) { return w.launch->chip->family == Family::rdna3 ? 32 : w.lanes; }

void run_bpermute(Wave& w, const Op& op) {
  const U* const index = w.row(op.src[kVaddr].reg);
  const int lanes = exchange_lanes(w);
  gather(w, op, [&](int i) {
    const U n = (index[i] + static_cast<U>(op.imm)) / 4;
    return static_cast<int>(n & static_cast<U>(lanes - 1)) + (i & ~(lanes - 1));
  });
}

// Lane i sends to the lane that its index names; of several senders the last one's value stays.
void run_permute(Wave& w, const Op& op) {
  const U* const index = w.row(op.src[kVaddr].reg);
  const U* const in = w.row(op.src[kData].reg);
  const int lanes = exchange_lanes(w);
  U value[64] = {};
  for_lanes(w.exec, [&](int i) {
    const U n = (index[i] + static_cast<U>(op.imm)) / 4;
    value[static_cast<int>(n & static_cast<U>(lanes - 1)) + (i & ~(lanes - 1))] = in[i];
  });
  U* const out = w.row(op.dst[0].reg);
  for_lanes(w.exec, [&](int i) { out[i] = value[i]; });
}

int reversed5(int v) {
  int r = 0;
  for (int bit = 0; bit < 5; ++bit) r |= (v >> bit & 1) << (4 - bit);
  return r;
}

// The lane of 32 that lane i reads, by the 16 bits of the offset.
int swizzled(int i, int offset) {
  const int low = offset & 31, middle = offset >> 5 & 31, high = offset >> 10 & 31;
  if (offset >= 0xe000) {  // the order of an FFT
    if (low == 31) return i;
    return (reversed5(i) >> std::popcount(static_cast<unsigned>(low))) | (i & low);
  }
  if (offset >= 0xc000) {  // a rotation of the bits of the lane's number that `low` leaves
    const int by = (offset >> 10 & 1) != 0 ? -middle : middle;
    return (i & low) | ((i + by) & ~low & 31);
  }
  if ((offset & 0x8000) != 0) return (i & ~3) | (offset >> 2 * (i & 3) & 3);
  return ((i & low) | middle) ^ high;
}

void run_swizzle(Wave& w, const Op& op) {
  const int offset = static_cast<int>(op.imm);
  gather(w, op, [&](int i) { return swizzled(i & 31, offset) | (i & 32); });
}

// --- binding

// DS encodings of both families begin with the 16 bits of the offset, or two of 8.
void bind_offset(const Instruction& in, Op& op) {
  expect_modifiers(in, {"offset"});
  op.imm = in.raw.at(0) | in.raw.at(1) << 8;
}

// Operands: [destination] [address] [data] [data].
void bind_operands(const Instruction& in, Op& op, const BindContext& c, bool returns, bool address, int data) {
  const std::size_t expected =
      static_cast<std::size_t>(returns) + static_cast<std::size_t>(address) + static_cast<std::size_t>(data);
  if (in.operands.size() != expected)
    throw Unsupported(fmt::format("{} operands in '{}'", in.operands.size(), in.text));
  std::size_t at = 0;
  if (returns) op.dst[0] = destination(in, at++, c);
  if (address) op.src[kVaddr] = source(in, at++, Type::b32, c);
  if (data > 0) op.src[kData] = source(in, at++, Type::b32, c);
  if (data > 1) op.src[kData2] = source(in, at++, Type::b32, c);
}

Entry entry(Run run, Move move, bool returns, bool address, int data) {
  return {Class::lds, [=](const Instruction& in, Op& op, const BindContext& c) {
            bind_offset(in, op);
            bind_operands(in, op, c, returns, address, data);
            if (move) set_move(op, move);
            op.run = run;
          }};
}

Entry two(Run run, bool returns, int data, int unit) {
  return {Class::lds, [=](const Instruction& in, Op& op, const BindContext& c) {
            expect_modifiers(in, {"offset0", "offset1"});
            bind_operands(in, op, c, returns, true, data);
            op.imm = in.raw.at(0) * unit;
            op.imm2 = in.raw.at(1) * unit;
            if (returns && data > 0) op.flags = kReturns;
            op.run = run;
          }};
}

Entry atomic(std::size_t number, bool returns) {
  return {Class::lds, [=](const Instruction& in, Op& op, const BindContext& c) {
            const Atomic& a = atomics()[number];
            bind_offset(in, op);
            bind_operands(in, op, c, returns, true, a.operands);
            // Here the comparand comes first; ds_cmpstore and memory have it second.
            if (in.mnemonic.starts_with("ds_cmpst_")) std::swap(op.src[kData], op.src[kData2]);
            op.flags = static_cast<U>(number) << kAtomicShift | (returns ? U{kReturns} : 0);
            set_move(op, move_atomic);
            op.run = run_lds;
          }};
}

// ds_add_u32 -> ds_add_rtn_u32
std::string returning(std::string_view name) {
  const auto last = name.rfind('_');
  // pk_add_f16 and its like keep the type at the end too.
  return fmt::format("ds_{}_rtn{}", name.substr(0, last), name.substr(last));
}

void add_atomics(Table& t) {
  for (std::size_t i = 0; i < atomics().size(); ++i) {
    const Atomic& a = atomics()[i];
    for (const auto& [family, name] : {std::pair{Family::rdna3, a.rdna3_lds}, std::pair{Family::cdna3, a.cdna3_lds}}) {
      if (name.empty()) continue;
      t.add(family, fmt::format("ds_{}", name), atomic(i, false));
      t.add(family, returning(name), atomic(i, true));
    }
  }
}

void add_pairs(Table& t) {
  struct Names {
    Family family;
    std::string_view load, store, exchange, far;
  };
  for (const auto& [family, load, store, exchange, far] :
       {Names{Family::rdna3, "load_2addr", "store_2addr", "storexchg_2addr", "_stride64"},
        Names{Family::cdna3, "read2", "write2", "wrxchg2", "st64"}}) {
    for (const int scale : {1, 64}) {
      const std::string_view suffix = scale == 64 ? far : "";
      t.add(family, fmt::format("ds_{}{}_b32", load, suffix), two(run_load2<4>, true, 0, 4 * scale));
      t.add(family, fmt::format("ds_{}{}_b64", load, suffix), two(run_load2<8>, true, 0, 8 * scale));
      t.add(family, fmt::format("ds_{}{}_b32", store, suffix), two(run_store2<4>, false, 2, 4 * scale));
      t.add(family, fmt::format("ds_{}{}_b64", store, suffix), two(run_store2<8>, false, 2, 8 * scale));
      t.add(family, fmt::format("ds_{}{}_rtn_b32", exchange, suffix), two(run_exchange2<4>, true, 2, 4 * scale));
      t.add(family, fmt::format("ds_{}{}_rtn_b64", exchange, suffix), two(run_exchange2<8>, true, 2, 8 * scale));
    }
  }
}

}  // namespace

void add_lds(Table& t) {
  for (const Form& f : forms()) {
    const Entry e = entry(run_lds, f.move, !f.store, true, f.store ? 1 : 0);
    t.add(Family::rdna3, fmt::format("ds_{}", f.rdna3_lds), e);
    t.add(Family::cdna3, fmt::format("ds_{}", f.cdna3_lds), e);
  }
  add_pairs(t);
  add_atomics(t);
  const Entry load_addtid = entry(run_addtid, move_load<4, false, Half::whole>, true, false, 0);
  const Entry store_addtid = entry(run_addtid, move_store<4, Half::whole>, false, false, 1);
  t.add(Family::rdna3, "ds_load_addtid_b32", load_addtid);
  t.add(Family::rdna3, "ds_store_addtid_b32", store_addtid);
  t.add(Family::cdna3, "ds_read_addtid_b32", load_addtid);
  t.add(Family::cdna3, "ds_write_addtid_b32", store_addtid);
  t.add("ds_append", entry(run_count<1>, nullptr, true, false, 0));
  t.add("ds_consume", entry(run_count<-1>, nullptr, true, false, 0));
  t.add("ds_permute_b32", entry(run_permute, nullptr, true, true, 1));
  t.add("ds_bpermute_b32", entry(run_bpermute, nullptr, true, true, 1));
  // Its one source stands where others have the address.
  t.add("ds_swizzle_b32", {Class::lds, [](const Instruction& in, Op& op, const BindContext& c) {
                             bind_offset(in, op);
                             bind_operands(in, op, c, true, false, 1);
                             op.run = run_swizzle;
                           }});
  t.add("ds_nop", entry([](Wave&, const Op&) {}, nullptr, false, false, 0));
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
