// MUBUF: memory through a buffer resource, four scalar registers that say where it is, how large, and how addresses are
// made. What is out of its range reads 0 and writes nothing, a dword at a time; an address in range that is in no
// allocation stops the wave as any other does.
//
//   offset = VGPR (offen) + immediate;  index = VGPR (idxen) + lane (add_tid)
//   address = base + SGPR offset + stride * index + offset, or swizzled: index_stride records side by side, an element
//   of each in turn
#include <fmt/format.h>

#include "emulator/ops/atomics.h"
#include "emulator/ops/memory.h"

namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL {
namespace {

constexpr int kBytesShift = 10;  // of Op::flags: the bytes of the access, 5 bits

struct Resource {
  std::uint64_t base = 0;
  std::uint64_t stride = 0, records = 0;
  std::uint64_t element = 0;       // bytes; 0: not swizzled
  std::uint64_t index_stride = 8;  // records
  bool add_lane = false;
  // What is out of range. bytes: offset and size against `records`; index: the index against `records`; record: that,
  // or past the stride; swizzled_bytes: as record, `records` being bytes; empty: all of it when there are none.
  enum class Range { bytes, index, record, swizzled_bytes, empty } range = Range::bytes;
};

Resource resource_of(const Wave& w, const Op& op) {
  const std::uint32_t* const v = w.s.data() + op.src[kSaddr].reg;
  Resource r;
  r.base = v[0] | std::uint64_t{v[1] & 0xffff} << 32;
  r.stride = v[1] >> 16 & 0x3fff;
  r.records = v[2];
  r.index_stride = std::uint64_t{8} << (v[3] >> 21 & 3);
  r.add_lane = (v[3] >> 23 & 1) != 0;
  if (w.launch->chip->family == Family::cdna3) {
    if (r.add_lane) r.stride |= (v[3] >> 15 & 15) << 14;  // the data format's place
    r.element = v[1] >> 31 != 0 ? 4 : 0;
    r.range = (op.flags & kIdxen) != 0 && r.stride != 0 ? Resource::Range::index : Resource::Range::bytes;
    return r;
  }
  const std::uint32_t swizzle = v[1] >> 30;
  r.element = swizzle == 0 ? 0 : std::uint64_t{2} << swizzle;
  static constexpr Resource::Range kSelect[] = {Resource::Range::record, Resource::Range::index, Resource::Range::empty,
                                                Resource::Range::bytes};
  r.range = kSelect[v[3] >> 28 & 3];
  if (r.range == Resource::Range::bytes && r.element != 0 && r.stride != 0) r.range = Resource::Range::swizzled_bytes;
  return r;
}

std::uint64_t place(const Resource& r, std::uint64_t index, std::uint64_t offset) {
  if (r.element == 0) return r.stride * index + offset;
  return (index / r.index_stride * r.stride + offset / r.element * r.element) * r.index_stride +
         index % r.index_stride * r.element + offset % r.element;
}

bool in_range(const Resource& r, std::uint64_t index, std::uint64_t offset, std::uint64_t bytes, std::uint64_t scalar) {
  const std::uint64_t records = r.records > scalar ? r.records - scalar : 0;
  switch (r.range) {
    case Resource::Range::bytes:
      return r.stride * index + offset + bytes <= records;
    case Resource::Range::index:
      return index < r.records;
    case Resource::Range::record:
      return index < r.records && (r.stride == 0 || offset + bytes <= r.stride);
    case Resource::Range::swizzled_bytes:
      return index < records / r.stride && offset + bytes <= r.stride;
    default:
      return r.records != 0;
  }
}

// What lanes that reach nothing read.
void zero(Wave& w, const Op& op, std::uint64_t mask, int row, int words) {
  const std::uint32_t keep = op.dst[0].pick == Pick::low ? 0xffff0000u : op.dst[0].pick == Pick::high ? 0xffffu : 0;
  for (int k = 0; k < words; ++k) {
    std::uint32_t* const out = w.row(row + k);
    for_lanes(mask, [&](int i) { out[i] &= keep; });
  }
}

struct Lanes {
  std::uint64_t index[64], offset[64];
};

void locate(const Wave& w, const Op& op, const Resource& r, Lanes& lanes) {
  const bool offen = (op.flags & kOffen) != 0, idxen = (op.flags & kIdxen) != 0;
  const std::uint32_t* const first = offen || idxen ? w.row(op.src[kVaddr].reg) : nullptr;
  const std::uint32_t* const offsets = offen ? (idxen ? w.row(op.src[kVaddr].reg + 1) : first) : nullptr;
  for (int i = 0; i < w.lanes; ++i) {
    lanes.index[i] = (idxen ? first[i] : 0) + (r.add_lane ? static_cast<std::uint64_t>(i) : 0);
    lanes.offset[i] = static_cast<std::uint64_t>(op.imm) + (offsets ? offsets[i] : 0);
  }
}

// Accesses of several dwords of which some are out of range: dword by dword.
void run_dwords(Wave& w, const Op& op, const Resource& r, const Lanes& lanes, std::uint64_t scalar,
                const std::uint64_t* address, int words) {
  const bool store = op.dst[0].kind == Destination::Kind::none;
  for (int k = 0; k < words && w.status != Status::faulted; ++k) {
    alignas(64) std::uint64_t at[64] = {};
    std::uint64_t inside = 0;
    const std::uint64_t skip = 4 * static_cast<std::uint64_t>(k);
    for_lanes(w.exec, [&](int i) {
      at[i] = address[i] + skip;
      inside |= std::uint64_t{in_range(r, lanes.index[i], lanes.offset[i] + skip, 4, scalar)} << i;
    });
    if (store) {
      if (inside != 0) store_rows<4, Half::whole>(w, op, Space::global, inside, at, op.src[kData].reg + k);
    } else {
      if (inside != 0) load_rows<4, false, Half::whole>(w, op, Space::global, inside, at, op.dst[0].reg + k);
      zero(w, op, w.exec & ~inside, op.dst[0].reg + k, 1);
    }
  }
}

// The dwords in the spare row, or what was loaded into it, go to the lanes' places from M0 on.
void put_into_lds(Wave& w, const Op& op) {
  alignas(64) std::uint64_t to[64];
  const std::uint64_t base = (w.s[kM0] & 0xffff) + static_cast<std::uint64_t>(op.imm);
  for (int i = 0; i < w.lanes; ++i) to[i] = base + 4 * static_cast<std::uint64_t>(i);
  store_rows<4, Half::whole>(w, op, Space::lds, w.exec, to, op.dst[0].reg);
}

void run_buffer(Wave& w, const Op& op) {
  if (w.exec == 0) return;
  const Resource r = resource_of(w, op);
  const Source& s = op.src[kSoffset];
  const std::uint64_t scalar = s.kind == Source::Kind::scalar ? w.s[s.reg] : static_cast<std::uint32_t>(s.value);
  const auto bytes = static_cast<int>(op.flags >> kBytesShift & 31);
  Lanes lanes;
  locate(w, op, r, lanes);
  alignas(64) std::uint64_t address[64];
  std::uint64_t inside = 0;
  for (int i = 0; i < w.lanes; ++i) {
    address[i] = r.base + scalar + place(r, lanes.index[i], lanes.offset[i]);
    inside |= std::uint64_t{in_range(r, lanes.index[i], lanes.offset[i], static_cast<unsigned>(bytes), scalar)} << i;
  }
  inside &= w.exec;
  const bool atomic = op.cls == static_cast<std::uint8_t>(Class::atomic);
  if (inside != w.exec && bytes > 4 && !atomic) {
    return run_dwords(w, op, r, lanes, scalar, address, bytes / 4);
  }
  if (inside != 0) move_of(op)(w, op, Space::global, inside, address);
  if (w.status == Status::faulted) return;
  if (inside != w.exec && op.dst[0].kind != Destination::Kind::none) {
    zero(w, op, w.exec & ~inside, op.dst[0].reg, bytes > 4 ? bytes / 4 : 1);
  }
  if ((op.flags & kToLds) != 0) put_into_lds(w, op);
}

// --- binding

// Operands: data (not of loads into LDS), address or off, resource, scalar offset.
void bind_operands(const Instruction& in, Op& op, const BindContext& c, std::size_t at) {
  expect_modifiers(in, {"offset", "offen", "idxen", "glc", "slc", "dlc", "sc0", "sc1", "nt", "lds"});
  if (in.operands.size() != at + 3) throw Unsupported(fmt::format("{} operands in '{}'", in.operands.size(), in.text));
  op.imm = in.value("offset");
  op.flags |=
      scope_flags(in) | (in.has("offen") ? std::uint32_t{kOffen} : 0) | (in.has("idxen") ? std::uint32_t{kIdxen} : 0);
  if ((op.flags & (kOffen | kIdxen)) != 0) op.src[kVaddr] = source(in, at, Type::b64, c);
  op.src[kSaddr] = source(in, at + 1, Type::b128, c);
  op.src[kSoffset] = source(in, at + 2, Type::b32, c);
  if (op.src[kSaddr].kind != Source::Kind::scalar) throw Unsupported(fmt::format("resource in '{}'", in.text));
  op.run = run_buffer;
}

Pick pick_of(Half half) { return half == Half::low ? Pick::low : half == Half::high ? Pick::high : Pick::whole; }

Entry moving(const Form& form) {
  return {Class::buffer, [&form](const Instruction& in, Op& op, const BindContext& c) {
            op.flags = static_cast<std::uint32_t>(form.bytes) << kBytesShift;
            set_move(op, form.move);
            if (in.has("lds")) {
              if (form.store || form.bytes > 4 || form.half != Half::whole) {
                throw Unsupported(fmt::format("LDS in '{}'", in.text));
              }
              op.flags |= kToLds;
              op.dst[0].kind = Destination::Kind::vector;
              op.dst[0].reg = static_cast<std::uint16_t>(c.spare);
              return bind_operands(in, op, c, 0);
            }
            if (form.store) {
              op.src[kData] = source(in, 0, Type::b32, c);
            } else {
              op.dst[0] = destination(in, 0, c);
              op.dst[0].pick = pick_of(form.half);
            }
            bind_operands(in, op, c, 1);
          }};
}

Entry atomic(std::size_t number) {
  return {Class::atomic, [=](const Instruction& in, Op& op, const BindContext& c) {
            const Atomic& a = atomics()[number];
            op.flags = static_cast<std::uint32_t>(number) << kAtomicShift | static_cast<std::uint32_t>(a.bytes)
                                                                                << kBytesShift;
            op.src[kData] = source(in, 0, Type::b32, c);
            op.src[kData2] = op.src[kData];
            if (a.operands == 2) op.src[kData2].reg = static_cast<std::uint16_t>(op.src[kData].reg + a.bytes / 4);
            // The old value goes where the new one came from.
            if (in.has("glc") || in.has("sc0")) {
              op.flags |= kReturns;
              op.dst[0] = destination(in, 0, c);
            }
            set_move(op, move_atomic);
            bind_operands(in, op, c, 1);
          }};
}

}  // namespace

void add_buffer(Table& t) {
  for (const Form& f : forms()) {
    t.add(Family::rdna3, fmt::format("buffer_{}", f.rdna3), moving(f));
    t.add(Family::cdna3, fmt::format("buffer_{}", f.cdna3), moving(f));
  }
  for (std::size_t i = 0; i < atomics().size(); ++i) {
    const Atomic& a = atomics()[i];
    if (!a.rdna3.empty()) t.add(Family::rdna3, fmt::format("buffer_atomic_{}", a.rdna3), atomic(i));
    if (!a.cdna3.empty()) t.add(Family::cdna3, fmt::format("buffer_atomic_{}", a.cdna3), atomic(i));
  }
}

}  // namespace wavetile::emu::WAVETILE_EMULATOR_LEVEL
