// Moving values across lanes without memory. From the cheapest:
//
//   quad_perm, row_ror:8, mirrors, row_xmask   one DPP modifier, which folds into the arithmetic that follows
//   dpp8, permlane16, permlanex16              GFX10 and later: any map of 8 or 16 lanes, also with the other row
//   two DPPs                                   GFX9: xor by 4 is a mirror of 8 and then of 4
//   readlane                                   one lane for all
//   ds_swizzle, ds_bpermute                    the LDS crossbar (no LDS memory): tens of cycles
//
// The encodings are those of the ISA documents ('DPP_CTRL', 'DS_SWIZZLE_B32') and of LLVM's SIDefines.h.
#include <algorithm>
#include <bit>

#include <llvm/IR/IntrinsicsAMDGPU.h>

#include "codegen/amdgpu_target.h"

namespace wavetile {

using LValue = llvm::Value;

namespace {

// DPP control words.
constexpr int quad_perm(int a, int b, int c, int d) { return a | b << 2 | c << 4 | d << 6; }
constexpr int row_ror = 0x120, row_mirror = 0x140, row_half_mirror = 0x141, row_bcast_15 = 0x142, row_bcast_31 = 0x143;
constexpr int row_xmask = 0x160;

LaneMap exchange(int lanes, int mask) {
  LaneMap m;
  for (int i = 0; 1 << i < lanes; ++i) m.bases.push_back(1 << i);
  m.offset = mask;
  return m;
}

}  // namespace

// All lanes are active and every control word used here reads an existing lane, or (row_bcast) what the others get does
// not matter: so nothing of an old value has to be kept, which is what lets the modifier fold into arithmetic.
LValue* AmdgpuTarget::dpp(Builder& b, LValue* v, int control) const {
  LValue* all = b.getInt32(0xf);
  return b.CreateIntrinsic(
      llvm::Intrinsic::amdgcn_update_dpp, {b.getInt32Ty()},
      {llvm::PoisonValue::get(b.getInt32Ty()), v, b.getInt32(static_cast<uint32_t>(control)), all, all, b.getTrue()});
}

LValue* AmdgpuTarget::shuffle(Builder& b, LValue* v, const LaneMap& map) const {
  if (map.identity()) return v;
  llvm::Type* t = v->getType();
  unsigned bits = t->getScalarSizeInBits();
  if (t->isVectorTy() || bits > 32) throw InternalError("amdgpu: a shuffle moves scalars of up to 32 bits");
  llvm::Type* own = b.getIntNTy(bits);
  LValue* word = b.CreateZExt(b.CreateBitCast(v, own), b.getInt32Ty());
  return b.CreateBitCast(b.CreateTrunc(move(b, word, map), own), t);
}

LValue* AmdgpuTarget::move(Builder& b, LValue* word, const LaneMap& map) const {
  if (std::all_of(map.bases.begin(), map.bases.end(), [](int x) { return x == 0; }))
    return b.CreateIntrinsic(llvm::Intrinsic::amdgcn_readlane, {b.getInt32Ty()},
                             {word, b.getInt32(static_cast<uint32_t>(map.offset))});
  std::vector<int> from;
  for (int l = 0; l < caps_.lanes; ++l) from.push_back(map(l));
  if (LValue* v = move_in_row(b, word, from)) return v;
  if (LValue* v = swizzle(b, word, map)) return v;
  return fetch(b, word, map);
}

// A map that does the same in each row of 16 lanes, and stays inside it or (GFX10 and later) swaps it with its
// neighbour; null: this is none, or the chip has nothing for it.
LValue* AmdgpuTarget::move_in_row(Builder& b, LValue* word, const std::vector<int>& from) const {
  auto stays_in = [&](int n, int swap) {  // groups of n lanes, all alike
    for (int l = 0; l < caps_.lanes; ++l) {
      int first = from[static_cast<size_t>(l & (n - 1))] ^ swap;  // what the first group's lane reads
      if (first >= n || from[static_cast<size_t>(l)] != ((l & ~(n - 1)) ^ swap) + first) return false;
    }
    return true;
  };
  auto all = [&](auto&& expected) {
    for (int l = 0; l < caps_.lanes; ++l)
      if (from[static_cast<size_t>(l)] != expected(l)) return false;
    return true;
  };
  if (stays_in(4, 0)) return dpp(b, word, quad_perm(from[0], from[1], from[2], from[3]));
  bool exchanges = all([&](int l) { return l ^ from[0]; }) && from[0] < 16;
  if (exchanges) {
    int mask = from[0];
    if (chip_.generation >= 10) return dpp(b, word, row_xmask + mask);
    if (mask >= 12)
      word = dpp(b, word, row_mirror), mask ^= 15;
    else if (mask >= 8)
      word = dpp(b, word, row_ror + 8), mask ^= 8;
    else
      word = dpp(b, word, row_half_mirror), mask ^= 7;
    return mask ? dpp(b, word, quad_perm(0 ^ mask, 1 ^ mask, 2 ^ mask, 3 ^ mask)) : word;
  }
  if (chip_.generation < 10) return nullptr;
  if (stays_in(8, 0)) {
    uint32_t select = 0;
    for (int l = 0; l < 8; ++l) select |= static_cast<uint32_t>(from[static_cast<size_t>(l)]) << 3 * l;
    return b.CreateIntrinsic(llvm::Intrinsic::amdgcn_mov_dpp8, {b.getInt32Ty()}, {word, b.getInt32(select)});
  }
  bool own = stays_in(16, 0), other = !own && stays_in(16, 16);
  if (!own && !other) return nullptr;
  uint64_t select = 0;
  for (int l = 0; l < 16; ++l) select |= static_cast<uint64_t>(from[static_cast<size_t>(l)] & 15) << 4 * l;
  LValue *low = b.getInt32(static_cast<uint32_t>(select)), *high = b.getInt32(static_cast<uint32_t>(select >> 32));
  return b.CreateIntrinsic(own ? llvm::Intrinsic::amdgcn_permlane16 : llvm::Intrinsic::amdgcn_permlanex16,
                           {b.getInt32Ty()},
                           {llvm::PoisonValue::get(b.getInt32Ty()), word, low, high, b.getFalse(), b.getFalse()});
}

// ds_swizzle in bit mode, in each group of 32 lanes: from (lane & and) ^ xor.
LValue* AmdgpuTarget::swizzle(Builder& b, LValue* word, const LaneMap& map) const {
  if (map.offset >= 32) return nullptr;
  uint32_t keep = 0;
  for (size_t i = 0; i < map.bases.size(); ++i) {
    if (map.bases[i] == 1 << i)
      keep |= 1U << i;
    else if (map.bases[i] != 0 || i == 5)
      return nullptr;
  }
  return b.CreateIntrinsic(b.getInt32Ty(), llvm::Intrinsic::amdgcn_ds_swizzle,
                           {word, b.getInt32((keep & 31) | static_cast<uint32_t>(map.offset) << 10)});
}

// Any map: the lane works out whom it reads. Lane bits that move by the same distance share a shift.
LValue* AmdgpuTarget::fetch(Builder& b, LValue* word, const LaneMap& map) const {
  LValue* lane = lane_id(b);
  LValue* from = b.getInt32(static_cast<uint32_t>(map.offset));
  int bits = static_cast<int>(map.bases.size());
  for (int distance = -bits; distance <= bits; ++distance) {
    uint32_t mask = 0;
    for (int i = 0; i < bits; ++i)
      if (int to = i + distance; to >= 0 && map.bases[static_cast<size_t>(i)] >> to & 1) mask |= 1U << i;
    if (mask == 0) continue;
    LValue* part = b.CreateAnd(lane, b.getInt32(mask));
    part = distance < 0 ? b.CreateLShr(part, static_cast<uint64_t>(-distance))
                        : b.CreateShl(part, static_cast<uint64_t>(distance));
    from = b.CreateXor(from, part);
  }
  return b.CreateIntrinsic(b.getInt32Ty(), llvm::Intrinsic::amdgcn_ds_bpermute, {b.CreateShl(from, 2), word});
}

// GFX9 has no exchange of rows, and its exchange by 4 is two steps. But lanes that agree already may read any of them:
// after the quads, lane 7 - i is as good as lane i ^ 4. A whole wave goes on by broadcasts, which bring the total to
// the last lane alone, and from there to all by one readlane.
LaneValues AmdgpuTarget::reduce_lanes(Builder& b, const LaneValues& v, int bits, const LaneCombine& combine) const {
  if (chip_.generation >= 10) return Target::reduce_lanes(b, v, bits, combine);
  auto step = [&](const LaneValues& x, int control) {
    LaneValues moved;
    for (LValue* one : x) {
      if (one->getType()->getScalarSizeInBits() == 32) {
        moved.push_back(b.CreateBitCast(dpp(b, b.CreateBitCast(one, b.getInt32Ty()), control), one->getType()));
      } else {
        LValue* word = b.CreateZExt(one, b.getInt32Ty());
        moved.push_back(b.CreateTrunc(dpp(b, word, control), one->getType()));
      }
    }
    return combine(x, moved);
  };
  LaneValues x = v;
  bool whole_wave = bits == caps_.lanes - 1;
  for (int bit = 1; bit < (whole_wave ? 16 : caps_.lanes); bit *= 2) {
    if ((bits & bit) == 0) continue;
    if (bit == 4 && (bits & 3) == 3) {
      x = step(x, row_half_mirror);
    } else {
      LaneValues moved;
      for (LValue* one : x) moved.push_back(shuffle(b, one, exchange(caps_.lanes, bit)));
      x = combine(x, moved);
    }
  }
  if (!whole_wave) return x;
  x = step(step(x, row_bcast_15), row_bcast_31);
  LaneMap last{std::vector<int>(static_cast<size_t>(std::countr_zero(static_cast<unsigned>(caps_.lanes))), 0),
               caps_.lanes - 1};
  for (LValue*& one : x) one = shuffle(b, one, last);
  return x;
}

}  // namespace wavetile
